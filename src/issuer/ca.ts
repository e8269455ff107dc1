import { CertError } from '../errors.js'
import { isLoopback } from '../loopback.js'

const known: Readonly<Record<string, string>> = {
  letsencrypt: 'https://acme-v02.api.letsencrypt.org/directory',
  'letsencrypt-staging': 'https://acme-staging-v02.api.letsencrypt.org/directory',
  zerossl: 'https://acme.zerossl.com/v2/DV90',
  google: 'https://dv.acme-v02.api.pki.goog/directory',
  sslcom: 'https://acme.ssl.com/sslcom-dv-ecc',
}

// These register nobody whom they do not know from their web site (RFC 8555, 7.3.4).
const bindsAccounts = new Set(['zerossl', 'google', 'sslcom'])

export interface Ca {
  /** As it was asked for: how errors name it. */
  readonly name: string
  /** The URL of its directory. */
  readonly directory: string
  readonly bindsAccounts: boolean
}

/**
 * A CA by one of its names, or by the URL of its directory.
 * @throws CertError USAGE
 */
export const findCa = (name: string): Ca => {
  const directory = Object.hasOwn(known, name) ? known[name] : undefined
  if (directory !== undefined) return { name, directory, bindsAccounts: bindsAccounts.has(name) }
  const url = URL.canParse(name) ? new URL(name) : undefined
  if (url === undefined || !['https:', 'http:'].includes(url.protocol)) {
    throw new CertError('USAGE', `there is no CA "${name}"`, {
      hint: `one of ${Object.keys(known).join(', ')}, or the URL of a directory`,
    })
  }
  if (url.username !== '' || url.password !== '' || (url.protocol === 'http:' && !isLoopback(url.hostname))) {
    throw new CertError('USAGE', `--ca ${url.protocol}//${url.host} is not a place to get certificates from`, {
      hint: 'use https, without a name and password; plain http is accepted for this machine alone',
    })
  }
  return { name: url.host, directory: url.href, bindsAccounts: false }
}

/** The CA at a directory, by the name that it is known under, if there is one. @throws CertError USAGE */
export const caAt = (directory: string): Ca =>
  findCa(Object.keys(known).find((name) => known[name] === directory) ?? directory)
