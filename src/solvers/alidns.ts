import { setMaxListeners } from 'node:events'
import type { CredentialSource } from '../aliyun/credentials.js'
import type { DnsZones } from '../aliyun/dns-zones.js'
import { CertError, systemCode } from '../errors.js'
import { resolverOf } from '../name-server.js'
import { interrupted, unlessAborted } from '../patience.js'
import type { Challenge, Solver } from './solver.js'

export interface AlidnsOptions {
  readonly zones: DnsZones
  readonly credentials: CredentialSource
  /** Asked for CNAMEs in zones that are not ours, as `parseNameServer` gives it; the system's where it is absent. */
  readonly resolver: string | undefined
  readonly settle: NonNullable<Solver['settle']>
}

interface OurRecord {
  readonly zone: string
  readonly name: string
  readonly id: string
}

const mostHops = 10

/**
 * Answers dns-01 with TXT records in AliDNS: at the place itself, or where a CNAME there leads. What stands in our own
 * zones is asked of AliDNS, and of DNS only what stands in others': a cache that is asked for a name before it is there
 * tells the next who asks that it is not.
 */
export const alidns = ({ zones, credentials, resolver, settle }: AlidnsOptions): Solver => {
  const written = new Map<string, OurRecord>()
  const keyOf = ({ place, value }: Challenge) => `${place} ${value}`

  /** Tries each name on the way, until `work` has come to an end there. */
  const along = async (
    place: string,
    signal: AbortSignal,
    work: (zone: string, name: string) => Promise<string | undefined>,
  ): Promise<void> => {
    let name = place
    for (let hops = 0; hops < mostHops; hops++) {
      const found = await zones.find(name, signal)
      const next = 'zone' in found ? await work(found.zone, name) : await cnameOf(name, resolver, signal)
      if (next === undefined && 'refusal' in found) throw name === place ? found.refusal : ledTo(place, found.refusal)
      if (next === undefined) return
      name = next
    }
    throw new CertError('SOLVER_FAILED', `the CNAMEs of ${place} lead on and on, at last to ${name}`, {
      hint: 'let them lead to a name that has none',
    })
  }

  return {
    answers: 'dns-01',
    settle,
    open: async (signal) => {
      await unlessAborted(credentials(), signal)
    },
    present: async (challenge, _all, signal) => {
      const { place, value } = challenge
      // All names listen to it at once, which is no leak.
      setMaxListeners(0, signal)
      await along(place, signal, async (zone, name) => {
        const done = await zones.addTxt(zone, name, value, signal)
        if ('leadsTo' in done) return done.leadsTo
        written.set(keyOf(challenge), { zone, name, id: done.id })
        return undefined
      })
    },
    cleanUp: async (challenge, _all, signal) => {
      const { place, value } = challenge
      setMaxListeners(0, signal)
      const ours = written.get(keyOf(challenge))
      if (ours !== undefined && ours.id !== '') await zones.remove(ours.zone, ours.name, ours.id, signal)
      else await along(place, signal, (zone, name) => zones.removeTxt(zone, name, value, signal))
      written.delete(keyOf(challenge))
    },
  }
}

/** Not being told is as good as none. */
const cnameOf = async (name: string, server: string | undefined, signal: AbortSignal): Promise<string | undefined> => {
  const resolver = resolverOf(server)
  const cancel = () => resolver.cancel()
  signal.addEventListener('abort', cancel, { once: true })
  try {
    if (signal.aborted) throw interrupted()
    const [target] = await resolver.resolveCname(name)
    return target?.toLowerCase().replace(/\.$/, '')
  } catch (error) {
    if (signal.aborted) throw interrupted()
    if (systemCode(error) === undefined) throw error
    return undefined
  } finally {
    signal.removeEventListener('abort', cancel)
  }
}

const ledTo = (place: string, { code, message, hint, vendor, cause }: CertError): CertError =>
  new CertError(code, `a CNAME leads ${place} elsewhere: ${message}`, { hint, vendor, cause })

/** What to do where a record that AliDNS took does not come to be seen. */
export const alidnsAdvice = (hosts: readonly string[]): string =>
  hosts.some((host) => /(^|\.)(hichina|alidns)\.com$/.test(host))
    ? 'AliDNS is slow to tell its servers today: wait longer with --dns-timeout, and run it again'
    : `the zone is not served by AliDNS: its name servers are ${hosts.join(', ') || 'unknown'}; change them at the registrar to those that AliDNS names, lead _acme-challenge to a zone that AliDNS serves by a CNAME, or use --solver exec`
