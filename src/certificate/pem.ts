import { CertError } from '../errors.js'

/** One `-----BEGIN …-----` block as found. */
export interface PemBlock {
  /** `CERTIFICATE`, `EC PRIVATE KEY`, … */
  readonly label: string
  readonly der: Buffer
  /** Does it carry the old `Proc-Type: 4,ENCRYPTED` header (RFC 1421)? Then `der` is cipher text. */
  readonly encrypted: boolean
  /** The line of its BEGIN marker, from 1, for error messages. */
  readonly line: number
}

const begin = '-----BEGIN '
const end = '-----END '
const dashes = '-----'

/**
 * Finds the blocks whose label `wanted` accepts, in a text that may hold anything else around and between them: a BOM,
 * CRLF, `Bag Attributes`, several files glued together without a line break.
 * @throws CertError PEM_UNREADABLE: a wanted block without an end, or with something in it that is not base64
 */
export const readPem = (text: string, wanted: (label: string) => boolean): PemBlock[] => {
  const blocks: PemBlock[] = []
  const lineAt = lineCounter(text)
  for (let at = text.indexOf(begin); at >= 0; ) {
    const labelEnd = text.indexOf(dashes, at + begin.length)
    const label = labelEnd < 0 ? '' : text.slice(at + begin.length, labelEnd)
    const next = text.indexOf(begin, at + begin.length)
    if (!/^[A-Z0-9 ]{1,64}$/.test(label) || !wanted(label)) {
      at = next
      continue
    }
    const line = lineAt(at)
    const stop = text.indexOf(`${end}${label}${dashes}`, labelEnd)
    if (stop < 0 || (next >= 0 && next < stop)) {
      throw new CertError('PEM_UNREADABLE', `the ${label} block in line ${line} has no end`, {
        hint: `the file may be cut off: every "${begin}${label}${dashes}" needs its "${end}${label}${dashes}"`,
      })
    }
    blocks.push(readBody(text.slice(labelEnd + dashes.length, stop), label, line))
    at = text.indexOf(begin, stop)
  }
  return blocks
}

const readBody = (body: string, label: string, line: number): PemBlock => {
  // RFC 1421 headers end at an empty line; base64 has no colon, so the first one tells.
  const headers = /^\s*[A-Za-z-]+:/.test(body) ? /\r?\n[ \t]*\r?\n/.exec(body) : null
  const headerEnd = headers === null ? 0 : headers.index + headers[0].length
  const base64 = body.slice(headerEnd).replace(/\s+/g, '')
  if (base64 === '' || base64.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) {
    throw new CertError('PEM_UNREADABLE', `the ${label} block in line ${line} holds something that is not base64`, {
      hint: 'fetch the file again from where it was issued, as text and without editing it',
    })
  }
  return {
    label,
    line,
    der: Buffer.from(base64, 'base64'),
    encrypted: /^[ \t]*Proc-Type:[ \t]*4[ \t]*,[ \t]*ENCRYPTED/im.test(body.slice(0, headerEnd)),
  }
}

/** Line numbers for rising offsets, in one walk over the text. */
const lineCounter = (text: string): ((offset: number) => number) => {
  let line = 1
  let seen = 0
  return (offset) => {
    for (let at = text.indexOf('\n', seen); at >= 0 && at < offset; at = text.indexOf('\n', at + 1)) line++
    seen = offset
    return line
  }
}

/** The one shape in which we write PEM: 64 columns, LF, one LF at the end. */
export const writePem = (label: string, der: Uint8Array): string => {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return [`${begin}${label}${dashes}`, ...lines, `${end}${label}${dashes}`, ''].join('\n')
}
