/** A part of a text: from `start` to before `end`. */
export interface JsonSpan {
  readonly start: number
  readonly end: number
}

export interface StatementSpans {
  /** With its brackets. */
  readonly list: JsonSpan
  readonly elements: readonly JsonSpan[]
}

const token = /"(?:[^"\\]|\\.)*"|[[\]{},:]/g

/**
 * Where the statements of a policy stand in its text, so that one can be put in or taken out without a change to the
 * rest. Undefined where there is no list of them, or more than one.
 * @param text an object of JSON
 */
export const spansOfStatements = (text: string): StatementSpans | undefined => {
  const lists: StatementSpans[] = []
  let depth = 0
  let key = ''
  let reading: { readonly start: number; at: number; readonly elements: JsonSpan[] } | undefined
  for (const { 0: found, index } of text.matchAll(token)) {
    if (found.startsWith('"')) {
      // The last text before a colon is the key; what is a value is followed by none.
      if (depth === 1) key = found
    } else if (found === '[' || found === '{') {
      depth++
      if (depth === 2 && found === '[' && nameOf(key) === 'Statement') {
        reading = { start: index, at: index + 1, elements: [] }
      }
    } else {
      if (reading !== undefined && depth === 2 && (found === ',' || found === ']')) {
        const span = trimmed(text, reading.at, index)
        if (span !== undefined) reading.elements.push(span)
        reading.at = index + 1
      }
      if (found === ']' || found === '}') {
        if (depth === 2 && reading !== undefined) {
          lists.push({ list: { start: reading.start, end: index + 1 }, elements: reading.elements })
          reading = undefined
        }
        depth--
      }
    }
  }
  return lists.length === 1 ? lists[0] : undefined
}

const nameOf = (key: string): unknown => (key === '' ? undefined : JSON.parse(key))

const trimmed = (text: string, from: number, to: number): JsonSpan | undefined => {
  const part = text.slice(from, to)
  const start = from + part.length - part.trimStart().length
  return part.trim() === '' ? undefined : { start, end: start + part.trim().length }
}
