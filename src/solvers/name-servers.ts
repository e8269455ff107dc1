import type { Resolver } from 'node:dns/promises'
import { isIP } from 'node:net'
import { CertError, systemCode } from '../errors.js'
import { resolverOf } from '../name-server.js'
import { interrupted } from '../patience.js'

export interface NameServersOptions {
  /** Asked where name servers are, as `parseNameServer` gives it; the system's where it is absent. */
  readonly resolver?: string | undefined
  /** Where name servers listen: 53, but for tests. */
  readonly port?: number | undefined
}

/** One address of a name server. */
export interface NameServer {
  /** `ns1.example.net (192.0.2.1)` */
  readonly title: string
  readonly host: string
  readonly address: string
  /** Has it ever answered anything? */
  hasAnswered: boolean
}

/** What was answered; undefined where there was no answer. */
type Answer = readonly string[] | undefined

// Some have dozens of addresses for the same machines.
const addressesOfHost = 3
const mostHops = 10

/** Name servers, asked directly, so that no cache stands between what they say and us. */
export class NameServers {
  readonly #system: Resolver
  readonly #port: number
  readonly #signal: AbortSignal
  readonly #resolvers = new Map<string, Resolver>()
  readonly #servers = new Map<string, NameServer>()
  readonly #zones = new Map<string, Promise<readonly NameServer[]>>()
  readonly #cancel = (): void => this.close()

  constructor({ resolver, port = 53 }: NameServersOptions, signal: AbortSignal) {
    this.#system = resolverOf(resolver)
    this.#port = port
    this.#signal = signal
    signal.addEventListener('abort', this.#cancel, { once: true })
  }

  /** Ends whatever is still being asked. */
  close(): void {
    this.#signal.removeEventListener('abort', this.#cancel)
    for (const resolver of [this.#system, ...this.#resolvers.values()]) resolver.cancel()
  }

  /** A server by its address, with its port where that is another. */
  at(address: string, host = ''): NameServer {
    const known = this.#servers.get(address)
    if (known !== undefined) return known
    const server = { title: host === '' ? address : `${host} (${address})`, host, address, hasAnswered: false }
    this.#servers.set(address, server)
    return server
  }

  /**
   * Where the CA ends up that looks for a name, and who answers for it there.
   * @param answers whether a server is worth asking
   */
  async follow(
    name: string,
    answers: (name: string, server: NameServer) => Promise<boolean>,
  ): Promise<{ readonly name: string; readonly servers: readonly NameServer[] }> {
    let at = name
    let servers = await this.#around(at)
    for (let hops = 0; hops < mostHops; hops++) {
      // The first that answers says it: they differ only for as long as a change takes, and it is asked again then.
      let next: string | undefined
      for (const server of servers) {
        if (!(await answers(at, server))) continue
        next = await this.cname(at, server)
        break
      }
      if (next === undefined || next === at) break
      at = next
      servers = await this.#around(at)
    }
    // Not before it is known not to be a CNAME: a resolver would tell of the zone that it leads to.
    const own = await this.#serversOf(at)
    return { name: at, servers: own.length > 0 ? own : servers }
  }

  /** The values of the TXT records at a name, as one server has it; undefined where it does not answer. */
  async txt(name: string, server: NameServer): Promise<Answer> {
    return await this.#ask(server, async (resolver) => (await resolver.resolveTxt(name)).map((parts) => parts.join('')))
  }

  /** The CNAME at a name, as one server has it. */
  async cname(name: string, server: NameServer): Promise<string | undefined> {
    const [target] = (await this.#ask(server, (resolver) => resolver.resolveCname(name))) ?? []
    return target?.toLowerCase().replace(/\.$/, '')
  }

  /** Does it answer at all? Packets get lost, so it is asked twice. */
  async isThere(name: string, server: NameServer): Promise<boolean> {
    for (let tries = 1; tries <= 2 && !server.hasAnswered; tries++) {
      await this.#ask(server, (resolver) => resolver.resolveNs(name))
    }
    return server.hasAnswered
  }

  async #ask(server: NameServer, question: (resolver: Resolver) => Promise<readonly string[]>): Promise<Answer> {
    const resolver = this.#resolverOf(server)
    try {
      const answer = await this.#unlessAborted(question(resolver))
      server.hasAnswered = true
      return answer
    } catch (error) {
      const code = systemCode(error)
      if (code === undefined || error instanceof CertError) throw error
      if (isSilence(code)) return undefined
      server.hasAnswered = true
      return []
    }
  }

  #resolverOf({ address }: NameServer): Resolver {
    const known = this.#resolvers.get(address)
    if (known !== undefined) return known
    const own =
      isIP(address) === 0 ? address : isIP(address) === 6 ? `[${address}]:${this.#port}` : `${address}:${this.#port}`
    const resolver = resolverOf(own)
    this.#resolvers.set(address, resolver)
    return resolver
  }

  /** Who answers for what a name lies in. */
  async #around(name: string): Promise<readonly NameServer[]> {
    const labels = name.split('.')
    for (let i = 1; i < labels.length - 1; i++) {
      const servers = await this.#serversOf(labels.slice(i).join('.'))
      if (servers.length > 0) return servers
    }
    return await this.#serversOf(name)
  }

  /** Empty where there is no zone of that name. */
  #serversOf(zone: string): Promise<readonly NameServer[]> {
    const known = this.#zones.get(zone)
    if (known !== undefined) return known
    const asking = this.#askForServers(zone)
    this.#zones.set(zone, asking)
    const forget = () => this.#zones.delete(zone)
    // That there are none may have been a packet that got lost.
    asking.then((servers) => servers.length > 0 || forget(), forget)
    return asking
  }

  async #askForServers(zone: string): Promise<readonly NameServer[]> {
    const hosts = await this.#systemAnswer(this.#system.resolveNs(zone))
    const found = await Promise.all(
      hosts.map(async (host) => {
        const four = await this.#systemAnswer(this.#system.resolve4(host))
        // Many machines cannot reach IPv6.
        const addresses = four.length > 0 ? four : await this.#systemAnswer(this.#system.resolve6(host))
        return addresses.slice(0, addressesOfHost).map((address) => this.at(address, host))
      }),
    )
    return found.flat()
  }

  async #systemAnswer(asking: Promise<readonly string[]>): Promise<readonly string[]> {
    try {
      return await this.#unlessAborted(asking)
    } catch (error) {
      if (systemCode(error) === undefined || error instanceof CertError) throw error
      return []
    }
  }

  async #unlessAborted<T>(asking: Promise<T>): Promise<T> {
    if (this.#signal.aborted) {
      asking.catch(() => undefined)
      throw interrupted()
    }
    try {
      return await asking
    } catch (error) {
      throw this.#signal.aborted ? interrupted() : error
    }
  }
}

const isSilence = (code: string): boolean =>
  ['ETIMEOUT', 'ECONNREFUSED', 'ENETUNREACH', 'EHOSTUNREACH', 'ECANCELLED'].includes(code)
