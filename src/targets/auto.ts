import type { Step, Strand } from './target.js'

/** In place of a domain: every one that the certificate covers. */
export const auto = 'auto'

/** Behind the space of a step that was found: `bind www.example.com`. */
export const placesOf = (ids: readonly string[]): string[] => [
  ...new Set(ids.flatMap((id) => /^(?:bind|served) (.+)$/.exec(id)?.[1] ?? [])),
]

/** The strands of those places of which these ids are. */
export const strandsOf = (
  ids: readonly string[],
  strandOf: (place: string, suffix: string) => readonly Step[],
): Strand[] => placesOf(ids).map((place) => strandOf(place, ` ${place}`).filter(({ id }) => ids.includes(id)))
