import { isIP } from 'node:net'
import { canonicalName, isWildcard } from '../certificate/names.js'
import { CertError } from '../errors.js'

/** Where to dial instead of where DNS leads. */
export interface ConnectTo {
  /** For this host alone; for every host where it is absent. */
  readonly host?: string
  /** An address, or a name that is resolved. */
  readonly address: string
  readonly port: number
}

/**
 * Reads `ADDR:PORT` (for every host) or `HOST=ADDR:PORT` (for one).
 * @param flag how an error names the option
 * @throws CertError USAGE
 */
export const parseConnectTo = (value: string, flag = '--connect'): ConnectTo => {
  const equals = value.indexOf('=')
  const place = readPlace(value.slice(equals + 1))
  if (place === undefined) {
    throw new CertError('USAGE', `${flag} takes ADDR:PORT or HOST=ADDR:PORT, not "${value}"`, {
      hint: `such as ${flag} 127.0.0.1:8443, ${flag} www.example.com=192.0.2.7:443 or ${flag} [::1]:8443`,
    })
  }
  if (equals < 0) return place
  const host = canonicalName(value.slice(0, equals))
  if (host === undefined || isWildcard(host)) {
    throw new CertError('USAGE', `${flag} cannot read the host in "${value}"`, {
      hint: `such as ${flag} www.example.com=192.0.2.7:443; leave the host out to mean every one`,
    })
  }
  return { host, ...place }
}

const readPlace = (text: string): { readonly address: string; readonly port: number } | undefined => {
  const [, bracketed, plain, digits = ''] = /^(?:\[([^\]]*)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? []
  const port = Number(digits)
  const address = canonicalName(bracketed ?? plain ?? '')
  if (address === undefined || isWildcard(address) || port < 1 || port > 65_535) return undefined
  if ((bracketed !== undefined) !== (isIP(address) === 6)) return undefined
  return { address, port }
}

/** Those that were given for this very host, else those that are for every host. */
export const connectsOf = (host: string, all: readonly ConnectTo[]): readonly ConnectTo[] => {
  const own = all.filter((one) => one.host === host)
  return own.length > 0 ? own : all.filter((one) => one.host === undefined)
}
