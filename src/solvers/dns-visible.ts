import { setTimeout as sleep } from 'node:timers/promises'
import { eachOf } from '../each-of.js'
import { CertError } from '../errors.js'
import { interrupted, withDeadline } from '../patience.js'
import { type NameServer, NameServers, type NameServersOptions } from './name-servers.js'
import type { Solver } from './solver.js'

export interface DnsVisibleOptions extends NameServersOptions {
  /** How long it may take, in seconds; 0 where nobody is to look. */
  readonly timeout: number
  /** Asked instead of the zone's own servers, as `parseNameServer` gives it. */
  readonly only?: string | undefined
  /** What to do where the records do not come to be seen on name servers of these names. */
  readonly advice: (hosts: readonly string[]) => string
}

/** All the values that have to stand at one place. */
interface Place {
  readonly name: string
  readonly values: ReadonlySet<string>
  /** Where it leads, and who answers there. */
  at: string
  servers: readonly NameServer[]
  /** Of those that answer; undefined before the first look was over. */
  lacking: readonly NameServer[] | undefined
  /** How often in a row nobody answered. */
  silences: number
}

// In ms.
const firstPause = 250
const longestPause = 5000
const placesAtOnce = 8
// A firewall does not open by itself.
const mostSilences = 3

/**
 * Waits until each name server of the zone has every TXT record, since nobody knows which of them the CA asks. No
 * cache is asked: one that learned too early that there is no record would stay with it.
 */
export const dnsVisible =
  (options: DnsVisibleOptions): NonNullable<Solver['settle']> =>
  async (challenges, report, signal) => {
    if (options.timeout === 0) return
    const places = [...new Set(challenges.map(({ place }) => place))].map((name): Place => {
      const values = challenges.filter(({ place }) => place === name).map(({ value }) => value)
      return { name, values: new Set(values), at: name, servers: [], lacking: undefined, silences: 0 }
    })
    await withDeadline(options.timeout * 1000, signal, async (limited) => {
      const servers = new NameServers(options, limited)
      try {
        await untilAllAreThere(places, servers, options, report, limited)
      } catch (error) {
        // What the deadline has ended is not an interruption.
        throw limited.aborted && !signal.aborted ? notSeen(places, options) : error
      } finally {
        servers.close()
      }
    })
  }

const untilAllAreThere = async (
  places: readonly Place[],
  servers: NameServers,
  { only }: DnsVisibleOptions,
  report: (what: string) => void,
  signal: AbortSignal,
): Promise<void> => {
  const passedOver = new Set<NameServer>()
  const count = (all: readonly Place[]): number => all.reduce((sum, { values }) => sum + values.size, 0)
  const where = only === undefined ? 'on every name server' : `known to ${only}`
  let said = ''
  for (let pause = firstPause; ; pause = Math.min(pause * 2, longestPause)) {
    const left = places.filter((place) => !isThere(place))
    const answering = contacts(servers)
    await eachOf(left, placesAtOnce, (place) =>
      only === undefined ? look(place, servers, answering) : lookAt(place, servers, servers.at(only), answering),
    )
    for (const server of places.filter(isThere).flatMap((place) => place.servers)) {
      if (server.hasAnswered || passedOver.has(server)) continue
      passedOver.add(server)
      report(`TXT records: ${server.title} does not answer, and is passed over`)
    }
    const line = `TXT records: ${count(places.filter(isThere))} of ${count(places)} are ${where}`
    if (line !== said) report(line)
    said = line
    if (places.every(isThere)) return
    const silent = left.find(({ silences }) => silences >= mostSilences)
    if (silent !== undefined) throw unreachable(silent)
    await sleep(pause, undefined, { signal }).catch(() => {
      throw interrupted()
    })
  }
}

const isThere = ({ lacking }: Place): boolean => lacking?.length === 0

type Contact = (name: string, server: NameServer) => Promise<boolean>

/** Whoever has not answered yet is waited for once in a look, however many records are looked for. */
const contacts = (servers: NameServers): Contact => {
  const asked = new Map<NameServer, Promise<boolean>>()
  return (name, server) => {
    if (server.hasAnswered) return Promise.resolve(true)
    const known = asked.get(server) ?? servers.isThere(name, server)
    asked.set(server, known)
    return known
  }
}

const look = async (place: Place, servers: NameServers, answering: Contact): Promise<void> => {
  const found = await servers.follow(place.name, answering)
  place.at = found.name
  place.servers = found.servers
  const lacking: NameServer[] = []
  let answers = 0
  for (const server of found.servers) {
    // Passed over, as long as there is one that answers.
    if (!(await answering(found.name, server))) continue
    answers++
    if (!holds(place, await servers.txt(found.name, server))) lacking.push(server)
  }
  judge(place, lacking, answers)
}

/** One that may be a cache is asked for nothing but the records; where it does not follow CNAMEs, we do. */
const lookAt = async (place: Place, servers: NameServers, only: NameServer, answering: Contact): Promise<void> => {
  place.servers = [only]
  if (!(await answering(place.name, only))) return judge(place, [], 0)
  let name: string | undefined = place.name
  for (const seen = new Set<string>(); name !== undefined && !seen.has(name); name = await servers.cname(name, only)) {
    seen.add(name)
    place.at = name
    if (holds(place, await servers.txt(name, only))) return judge(place, [], 1)
  }
  judge(place, [only], 1)
}

const holds = ({ values }: Place, found: readonly string[] | undefined): boolean =>
  found !== undefined && [...values].every((value) => found.includes(value))

const judge = (place: Place, lacking: readonly NameServer[], answers: number): void => {
  place.silences = answers === 0 ? place.silences + 1 : 0
  place.lacking = answers === 0 ? undefined : lacking
}

const unreachable = ({ name, servers }: Place): CertError => {
  const which = servers.length === 0 ? '' : ` (${servers.map(({ title }) => title).join(', ')})`
  return new CertError('SOLVER_FAILED', `no name server that answers for ${name} can be reached${which}`, {
    hint: 'where only certain name servers can be asked (UDP port 53), name one, such as --dns-resolver 223.5.5.5; --dns-timeout 0 answers the CA without a look',
  })
}

const notSeen = (places: readonly Place[], { timeout, advice, only }: DnsVisibleOptions): CertError => {
  const missing = places.filter((place) => !isThere(place))
  const [first] = missing
  if (first === undefined) return new CertError('INTERNAL', 'all TXT records are there')
  const { name, at, servers, lacking } = first
  if (lacking === undefined && servers.every(({ hasAnswered }) => !hasAnswered)) return unreachable(first)
  const place = at === name ? name : `${name} (which leads to ${at})`
  const where = (lacking ?? servers).map(({ title }) => title).join(', ')
  const more = missing.length === 1 ? '' : `, nor are those of ${missing.length - 1} more names`
  const message = `the TXT record at ${place} is not on ${where} after ${timeout} seconds${more}`
  const hosts = [...new Set(servers.map(({ host }) => host))]
  return new CertError('SOLVER_FAILED', message, {
    hint:
      only === undefined
        ? advice(hosts)
        : `if ${only} only remembers that there was none, ask another one with --dns-resolver, or wait longer with --dns-timeout`,
  })
}
