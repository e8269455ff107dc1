/** One parameter of a query string, decoded. `k` and `k=` are both the pair of `k` and the empty text. */
export type Parameter = readonly [name: string, value: string]

/** RFC 3986, the dialect of every Alibaba Cloud signature: only letters, digits and `-._~` stay as they are. */
export const percentEncode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)

/** As `percentEncode`, for a path: the slashes stay. */
export const percentEncodePath = (path: string): string => path.split('/').map(percentEncode).join('/')

/** `undefined` where the text is not a percent-encoding of UTF-8. */
export const percentDecode = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** Text that cannot be decoded is taken literally: the signature check then refuses what it does not recognize. */
const decodeLenient = (text: string): string => {
  const spaced = text.replaceAll('+', ' ')
  return percentDecode(spaced) ?? spaced
}

/** The parameters of a raw query string (without `?`) or of a form body, in the order of the wire. */
export const parseParameters = (raw: string): readonly Parameter[] =>
  raw
    .split('&')
    .filter((part) => part !== '')
    .map((part) => {
      const at = part.indexOf('=')
      return at < 0 ? [decodeLenient(part), ''] : [decodeLenient(part.slice(0, at)), decodeLenient(part.slice(at + 1))]
    })
