import { inspect } from 'node:util'

// Every secret of this process, so that `redact` can take each of them out of any text. It only ever grows: a secret
// that is no longer used may still stand in the message of an error that is.
const fragments = new Set<string>()
// The longest first, since one secret can be the beginning of another; made when it is needed.
let longestFirst: readonly string[] | undefined

const keyBlock = /-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|$)/g

// Shorter pieces than this would blank out innocent words, and give nothing away by themselves.
const shortestFragment = 8

const remember = (text: string, isSecret: (piece: string) => boolean): void => {
  // Material as found can hold certificates and remarks beside the key; only the key is to be blanked out.
  const keys = text.match(keyBlock)
  for (const line of (keys?.join('\n') ?? text).split(/\r?\n/)) {
    const piece = line.trim()
    if (piece.length < shortestFragment || piece.startsWith('-----') || (keys === null && !isSecret(piece))) continue
    longestFirst = undefined
    fragments.add(piece)
    fragments.add(encodeURIComponent(piece.replace(/\p{Surrogate}/gu, '\ufffd')))
  }
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
