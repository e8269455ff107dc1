import type { StoredObject } from './bucket.js'

/** A line of the tree; folders have no size. */
type Line = readonly [label: string, size: string]

const linesOf = (objects: ReadonlyMap<string, StoredObject>): readonly Line[] => {
  const lines = new Map<string, Line>()
  for (const [key, { body }] of [...objects].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const parts = key.split('/')
    parts.forEach((part, depth) => {
      const isObject = depth === parts.length - 1
      const label = `${'  '.repeat(depth + 1)}${part}${isObject ? '' : '/'}`
      // Again and again for the same folder: a map keeps the first place.
      lines.set(parts.slice(0, depth + 1).join('/') + (isObject ? '' : '/'), [label, isObject ? `${body.length}` : ''])
    })
  }
  return [...lines.values()]
}

/** The objects of a bucket as indented folders with their sizes in bytes, for people. */
export const objectTree = (name: string, objects: ReadonlyMap<string, StoredObject>): string => {
  const lines: readonly Line[] = [[`oss://${name}/`, ''], ...linesOf(objects)]
  const wide = Math.max(...lines.map(([label]) => label.length))
  const long = Math.max(...lines.map(([, size]) => size.length))
  return lines
    .map(([label, size]) => `${label.padEnd(wide)}  ${size.padStart(long)}`.trimEnd())
    .map((line) => `${line}\n`)
    .join('')
}
