/** In place of a domain: every one that the certificate covers. */
export const auto = 'auto'

/** Behind the space of a step that was found: `bind www.example.com`. */
export const placesOf = (ids: readonly string[]): string[] => [
  ...new Set(ids.flatMap((id) => /^(?:bind|served) (.+)$/.exec(id)?.[1] ?? [])),
]
