import { element } from '../aliyun/oss-client.js'
import type { TlsVersion } from './https-wish.js'

/** A bucket's HTTPS configuration as OSS keeps it, read for what concerns TLS versions. */
export interface HttpsConfiguration {
  readonly isOn: boolean
  /** Those that are switched on, sorted; of a configuration that is off they mean nothing. */
  readonly tls: readonly string[]
}

/** Undefined where the text is not one. */
export const readConfiguration = (text: string): HttpsConfiguration | undefined => {
  const found = placeOfTls(text)
  if (found === undefined) return undefined
  const inside = text.slice(found.start, found.end)
  const isOn = found.isThere ? element(inside, 'Enable')?.toLowerCase() : 'false'
  if (isOn !== 'true' && isOn !== 'false') return undefined
  const versions = [...inside.matchAll(version)].map(([, name = '']) => name.trim().replace(/^TLSv/i, ''))
  return { isOn: isOn === 'true', tls: [...new Set(versions)].sort() }
}

/** Is OSS left to its own choice, as it is where nothing was ever configured? */
export const isOff = (text: string | null): boolean =>
  text === null || (readConfiguration(text)?.isOn === false && !/<CipherSuite[\s/>]/.test(text))

/**
 * The text with these versions and no others; all else, known here or not, stays to the byte.
 * @param text null, or one that `readConfiguration` can read
 */
export const withVersions = (text: string | null, tls: readonly TlsVersion[]): string => {
  const fresh = `<Enable>true</Enable>${tls.map((one) => `<TLSVersion>TLSv${one}</TLSVersion>`).join('')}`
  const found = text === null ? undefined : placeOfTls(text)
  if (text === null || found === undefined) return documentOf(fresh)
  const others = text.slice(found.start, found.end).replace(enable, '').replace(version, '').trim()
  const element = found.isThere ? fresh + others : `<TLS>${fresh}</TLS>`
  return text.slice(0, found.start) + element + text.slice(found.end)
}

/** What comes nearest to none, since OSS cannot delete one: it makes its own choice again. */
export const nothingConfigured = (): string => documentOf('<Enable>false</Enable>')

const documentOf = (tls: string): string =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<HttpsConfiguration><TLS>${tls}</TLS></HttpsConfiguration>`

const enable = /\s*<Enable>[^<]*<\/Enable>/
const version = /\s*<TLSVersion>([^<]*)<\/TLSVersion>/g

/** What stands between the tags; where there are none, where they would go. */
const placeOfTls = (
  text: string,
): { readonly start: number; readonly end: number; readonly isThere: boolean } | undefined => {
  const root = /<HttpsConfiguration(\s[^>]*)?>/.exec(text)
  if (root === null || root[0].endsWith('/>')) return undefined
  const after = root.index + root[0].length
  if (!/<TLS[\s/>]/.test(text)) return { start: after, end: after, isThere: false }
  const [found, ...more] = [...text.matchAll(/<TLS>([\s\S]*?)<\/TLS>/g)]
  if (found === undefined || more.length > 0) return undefined
  const start = found.index + '<TLS>'.length
  return { start, end: start + (found[1]?.length ?? 0), isThere: true }
}
