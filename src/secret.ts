import { inspect } from 'node:util'

// Every secret of this process, so that `redact` can take each of them out of any text. It only ever grows: a secret
// that is no longer used may still stand in the message of an error that is.
const fragments = new Set<string>()
// The longest first, since one secret can be the beginning of another; made when it is needed.
let longestFirst: readonly string[] | undefined
// The same secrets whole and bare, so that a part of one is found however it was wrapped and escaped.
const bodies = new Set<string>()

const keyBlock = /-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|$)/g

// Shorter pieces than this would blank out innocent words, and give nothing away by themselves.
const shortestFragment = 8

const remember = (text: string, isSecret: (piece: string) => boolean): void => {
  // Material as found can hold certificates and remarks beside the key; only the key is to be blanked out.
  const keys = text.match(keyBlock)
  const pieces: string[] = []
  for (const line of (keys?.join('\n') ?? text).split(/\r?\n/)) {
    const piece = line.trim()
    if (piece.length < shortestFragment || piece.startsWith('-----') || (keys === null && !isSecret(piece))) continue
    longestFirst = undefined
    pieces.push(piece)
    fragments.add(piece)
    fragments.add(encodeURIComponent(piece.replace(/\p{Surrogate}/gu, '\ufffd')))
  }
  const body = bare(pieces.join(''))
  if (body.length >= shortestFragment) bodies.add(body)
}

/** Letters and digits alone: what wraps, quotes and escapes leave as it is. */
const bare = (text: string): string => text.replace(/[^\p{L}\p{N}]/gu, '')

/** Without the escapes of URLs, JSON and XML, however often they were put on top of each other. */
const unescaped = (text: string): string => {
  let plain = text
  for (let before = '', layers = 0; plain !== before && layers < 5; layers++) {
    before = plain
    plain = plain
      .replace(/(?:%|\\+x|\\+u00|&#x)([0-9a-f]{2});?/gi, (_, code: string) =>
        String.fromCharCode(Number.parseInt(code, 16)),
      )
      .replace(/\\+[nrt]/g, ' ')
  }
  return plain
}

/** A text that does not print itself: only `reveal()` gives it away. */
export class Secret {
  readonly #text: string

  constructor(text: string, isSecret: (piece: string) => boolean = () => true) {
    this.#text = text
    remember(text, isSecret)
  }

  /** A file that should hold a key: the words of one that was given by mistake do not blank out our own. */
  static material(text: string): Secret {
    return new Secret(text, (line) => /^[A-Za-z0-9+/=]{20,}$/.test(line))
  }

  reveal(): string {
    return this.#text
  }

  toString(): string {
    return '[secret]'
  }

  toJSON(): string {
    return '[secret]'
  }

  [inspect.custom](): string {
    return '[secret]'
  }
}

/** The text without any secret of this process in it: the last gate before anything is shown. */
export const redact = (text: string): string => {
  let clean = text.replace(keyBlock, '[secret]')
  longestFirst ??= [...fragments].sort((a, b) => b.length - a.length)
  for (const fragment of longestFirst) if (clean.includes(fragment)) clean = clean.replaceAll(fragment, '[secret]')
  return clean
}

// As much of a secret as is never there by chance.
const tellingLength = 20

/**
 * Whether a text that `redact` has been over still gives away a part of a secret, or what looks like a key that nobody
 * here knows. Meant for single lines: it takes its time.
 */
export const holdsSecret = (text: string): boolean => {
  const plain = unescaped(text)
  if (/PRIVATE[\s+]*KEY/.test(plain)) return true
  // As long as this only sums are as innocent: they name certificates.
  const runs = plain.match(/[A-Za-z0-9+/=]{40,}/g) ?? []
  if (runs.some((run) => !/^([0-9a-f]{40}|[0-9a-f]{64})$/i.test(run))) return true
  const letters = bare(plain)
  for (const body of bodies) {
    const length = Math.min(tellingLength, body.length)
    for (let at = 0; at + length <= letters.length; at++) if (body.includes(letters.slice(at, at + length))) return true
  }
  return false
}
