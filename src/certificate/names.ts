import { isIP } from 'node:net'
import { domainToASCII } from 'node:url'

/** One label of a DNS name; `_` is not a host name's, but stands in certificates all the same. */
const label = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/

// `domainToASCII` parses the host of a URL: what ends one there would be cut off, and `%61` decoded.
const notInHosts = /[\s\p{Cc}/?#\\%]/u

/**
 * A host name, wildcard or IP address as certificates spell it: A-labels (IDNA), lower case, without a final dot; an
 * IPv6 address in its short form. Undefined if it is none of these.
 */
export const canonicalName = (name: string): string | undefined => {
  const address = canonicalAddress(name)
  if (address !== undefined) return address
  if (notInHosts.test(name)) return undefined
  const wildcard = name.startsWith('*.')
  const host = domainToASCII((wildcard ? name.slice(2) : name).replace(/\.$/, ''))
  // A name of nothing but numbers is read as an IPv4 address by some and as a host by others: nobody issues for it.
  if (host === '' || host.length > 253 || isIP(host) !== 0) return undefined
  if (!host.split('.').every((part) => label.test(part))) return undefined
  return wildcard ? `*.${host}` : host
}

const canonicalAddress = (name: string): string | undefined => {
  const bare = name.startsWith('[') && name.endsWith(']') ? name.slice(1, -1) : name
  if (isIP(bare) === 4) return bare
  if (isIP(bare) !== 6 || bare.includes('%')) return undefined
  return new URL(`http://[${bare}]/`).hostname.slice(1, -1)
}

export const isWildcard = (name: string): boolean => name.startsWith('*.')

/**
 * Is `host` one of `names`, or one label below a wildcard among them? `*.a.com` covers `b.a.com`, neither `a.com` nor
 * `c.b.a.com` (RFC 6125, 6.4.3). Both sides may be in any spelling.
 */
export const covers = (names: readonly string[], host: string): boolean => {
  const wanted = canonicalName(host)
  if (wanted === undefined) return false
  const known = new Set(names.map(canonicalName))
  if (known.has(wanted)) return true
  // An address has no wildcard above it: `*.0.0.1` is no name.
  return known.has(`*${wanted.slice(wanted.indexOf('.'))}`)
}

/** Why `host` is not covered, as a sentence for a hint: the wildcard rule where it is the cause. */
export const whyUncovered = (names: readonly string[], host: string): string => {
  const wanted = canonicalName(host) ?? host
  for (const wildcard of names.filter(isWildcard)) {
    const base = wildcard.slice(2)
    if (wanted === base) return `${wildcard} does not cover ${base} itself; the certificate needs that name as well`
    if (wanted.endsWith(`.${base}`)) {
      return `${wildcard} stands for exactly one label, so it does not cover ${wanted}; the certificate needs *.${wanted.slice(wanted.indexOf('.') + 1)} or that very name`
    }
  }
  return `the certificate is for ${names.join(', ') || 'no name at all'}`
}

/**
 * The entries of a subject alternative name extension as node:crypto prints it (`DNS:a.com, IP Address:::1`). Values
 * with anything odd in them are quoted as JSON there, which keeps a comma in a value from looking like a new entry.
 * `odd` are the DNS and IP entries that no client can match.
 */
export const readAlternativeNames = (text: string | undefined): { names: string[]; odd: string[] } => {
  const names = new Set<string>()
  const odd: string[] = []
  for (const [, kind, value = ''] of (text ?? '').matchAll(
    /(DNS|IP Address|[^:,]+):("(?:[^"\\]+|\\.)*"|[^,]*)(?:, |$)/g,
  )) {
    if (kind !== 'DNS' && kind !== 'IP Address') continue
    // Clients match neither a quoted value nor one with a final dot.
    const name = value.startsWith('"') || value.endsWith('.') ? undefined : canonicalName(value)
    if (name === undefined || (kind === 'DNS') !== (isIP(name) === 0)) odd.push(value)
    else names.add(name)
  }
  return { names: [...names], odd }
}
