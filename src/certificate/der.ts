/** One element of DER (X.690): where its content lies in the bytes that it was read from. */
export interface Element {
  readonly tag: number
  readonly start: number
  readonly end: number
}

export const tags = { integer: 0x02, bitString: 0x03, octetString: 0x04, oid: 0x06, sequence: 0x30 } as const

/** Reads the element at `offset`; undefined where the bytes do not hold a whole one with a definite, minimal length. */
export const readElement = (bytes: Uint8Array, offset: number): Element | undefined => {
  const tag = bytes[offset]
  const first = bytes[offset + 1]
  if (tag === undefined || first === undefined) return undefined
  let start = offset + 2
  let length = first
  if (first >= 0x80) {
    const count = first - 0x80
    // Four bytes of length are 4 GiB; an indefinite length (0x80) is BER, not DER.
    if (count === 0 || count > 4 || start + count > bytes.length) return undefined
    length = 0
    for (let i = 0; i < count; i++) length = length * 256 + (bytes[start + i] ?? 0)
    start += count
    // Longer than it need be is BER as well.
    if (length < 0x80 || length < 256 ** (count - 1)) return undefined
  }
  const end = start + length
  return end > bytes.length ? undefined : { tag, start, end }
}

/** The elements that stand side by side inside a constructed one, as far as they can be read. */
export const readChildren = (bytes: Uint8Array, parent: Element): Element[] => {
  const children: Element[] = []
  for (let offset = parent.start; offset < parent.end; ) {
    const child = readElement(bytes, offset)
    if (child === undefined || child.end > parent.end) break
    children.push(child)
    offset = child.end
  }
  return children
}

/** Is this exactly one SEQUENCE, with nothing before or behind it? */
export const isWholeSequence = (bytes: Uint8Array): boolean => {
  const outer = readElement(bytes, 0)
  return outer !== undefined && outer.tag === tags.sequence && outer.end === bytes.length
}
