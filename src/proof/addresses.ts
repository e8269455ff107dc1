import { isIP } from 'node:net'
import { systemCode } from '../errors.js'
import { lookupLocalhost } from '../http-connections.js'
import { resolverOf } from '../name-server.js'
import { interrupted, unlessAborted, withDeadline } from '../patience.js'
import { type ConnectTo, connectsOf } from './connect-to.js'

/** One place to dial. */
export interface Address {
  /** IPv4 or IPv6, without brackets. */
  readonly address: string
  readonly port: number
}

export type Addresses =
  | { readonly kind: 'found'; readonly addresses: readonly [Address, ...Address[]] }
  /** `name` does not resolve; `code` is the resolver's, such as `ENOTFOUND`. */
  | { readonly kind: 'unresolved'; readonly name: string; readonly code: string }

export interface AddressesOptions {
  readonly port: number
  readonly connect: readonly ConnectTo[]
  /** The name server to ask instead of the system, whose hosts file then does not count. */
  readonly nameServer?: string | undefined
  /** In ms. */
  readonly timeout: number
  readonly signal: AbortSignal
}

/**
 * Every address under which `host` is to be dialled.
 * @throws CertError INTERRUPTED
 */
export const addressesOf = async (host: string, options: AddressesOptions): Promise<Addresses> => {
  const { timeout, signal, nameServer } = options
  const places = connectsOf(host, options.connect)
  const asked = places.length > 0 ? places : [{ address: host, port: options.port }]
  // What stands in --connect is meant as this machine knows it.
  const server = places.length > 0 ? undefined : nameServer
  const found = new Map<string, Address>()
  for (const { address: name, port } of asked) {
    try {
      const addresses = await withDeadline(timeout, signal, (limited) => unlessAborted(resolve(name, server), limited))
      for (const address of addresses) found.set(`${address} ${port}`, { address, port })
    } catch (error) {
      if (signal.aborted) throw interrupted()
      return { kind: 'unresolved', name, code: systemCode(error) ?? 'ETIMEOUT' }
    }
  }
  const [first, ...others] = found.values()
  return first === undefined
    ? { kind: 'unresolved', name: host, code: 'ENODATA' }
    : { kind: 'found', addresses: [first, ...others] }
}

const resolve = async (name: string, nameServer: string | undefined): Promise<readonly string[]> => {
  if (isIP(name) !== 0) return [name]
  if (nameServer === undefined || name === 'localhost' || name.endsWith('.localhost')) return await lookUp(name)
  const resolver = resolverOf(nameServer)
  const answers = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)])
  const addresses = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
  // Most hosts lack one kind; that the other could not be asked for is the better reason then.
  const reasons = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason as unknown] : []))
  if (addresses.length === 0) throw reasons.find((reason) => systemCode(reason) !== 'ENODATA') ?? reasons[0]
  return addresses
}

const lookUp = (name: string): Promise<readonly string[]> =>
  new Promise((resolve, reject) => {
    lookupLocalhost(name, { all: true }, (error, found) => {
      if (error) reject(error)
      else resolve(Array.isArray(found) ? found.map(({ address }) => address) : [found])
    })
  })
