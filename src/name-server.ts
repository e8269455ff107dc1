import { Resolver } from 'node:dns/promises'
import { isIP } from 'node:net'
import { CertError } from './errors.js'

// Where DNS leads is asked to explain, not to decide: in ms.
const oneQuestion = 2000

/** Asks `server` (as `parseNameServer` gives it), or the system's name servers where there is none. */
export const resolverOf = (server: string | undefined): Resolver => {
  const resolver = new Resolver({ timeout: oneQuestion, tries: 1 })
  if (server !== undefined) resolver.setServers([server])
  return resolver
}

/**
 * Reads `ADDR` or `ADDR:PORT`, an IPv6 address with a port as `[::1]:53`.
 * @param flag how an error names the option
 * @throws CertError USAGE
 */
export const parseNameServer = (value: string, flag = '--dns-resolver'): string => {
  const [, bracketed, plain, digits = '53'] = /^(?:\[([^\]]*)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(value) ?? []
  const address = isIP(value) === 6 ? value : (bracketed ?? plain ?? '')
  const port = Number(digits)
  const isWellFormed = isIP(address) === (plain === undefined ? 6 : 4) && !address.includes('%')
  if (isWellFormed && port >= 1 && port <= 65_535)
    return isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`
  throw new CertError('USAGE', `${flag} takes ADDR or ADDR:PORT, not "${value}"`, {
    hint: `the address of a name server, not its name: such as ${flag} 223.5.5.5 or ${flag} [::1]:5353`,
  })
}
