import { isIP } from 'node:net'
import { canonicalName } from '../certificate/names.js'
import { systemCode } from '../errors.js'
import { resolverOf } from '../name-server.js'
import { interrupted, unlessAborted, withDeadline } from '../patience.js'
import type { Explanation } from './problem.js'

/**
 * What answers for a host, as far as its CNAMEs tell. CDN and DCDN share their suffixes; `stopped` is a CDN domain that
 * has been taken out of service; `protection` is WAF or Anti-DDoS, which has a certificate of its own.
 */
export type LeadsTo = 'oss' | 'cdn' | 'stopped' | 'protection' | 'unknown'

export interface DnsPath {
  readonly leadsTo: LeadsTo
  /** From the host's own CNAME on, as far as could be found out. */
  readonly cnames: readonly string[]
}

const mostHops = 10
// All of them together, in ms.
const longest = 5000

/**
 * Follows the CNAMEs of `host`. Not being able to is no failure: then it leads to `unknown`.
 * @param nameServer as `parseNameServer` gives it; the system's where it is absent
 * @throws CertError INTERRUPTED
 */
export const followDns = async (
  host: string,
  { nameServer, signal }: { readonly nameServer?: string | undefined; readonly signal: AbortSignal },
): Promise<DnsPath> => {
  const cnames: string[] = []
  // Neither has CNAMEs.
  if (isIP(host) === 0 && !/(^|\.)localhost$/.test(host)) {
    const resolver = resolverOf(nameServer)
    try {
      await withDeadline(longest, signal, async (limited) => {
        for (let name: string | undefined = host; name !== undefined && cnames.length < mostHops; ) {
          const [next] = await unlessAborted(resolver.resolveCname(name), limited)
          name = canonicalName(next ?? '')
          if (name === undefined || name === host || cnames.includes(name)) return
          cnames.push(name)
        }
      })
    } catch (error) {
      if (signal.aborted) throw interrupted()
      // The end of the chain, or nobody who answers: what has been seen so far is what there is.
      if (systemCode(error) === undefined && !(error instanceof DOMException)) throw error
    } finally {
      resolver.cancel()
    }
  }
  return { leadsTo: leadsTo([host, ...cnames]), cnames }
}

/** @param chain the host and its CNAMEs, in order */
export const leadsTo = (chain: readonly string[]): LeadsTo => {
  const places = chain.map((name) => placeOf(name.toLowerCase().replace(/\.$/, '')))
  // It stands behind a name of CDN, and counts for more. Otherwise the first name that is known is what the customer
  // chose: those behind it are how the product does it.
  return places.find((place) => place === 'stopped') ?? places.find((place) => place !== 'unknown') ?? 'unknown'
}

const suffixes: readonly [LeadsTo, RegExp][] = [
  ['stopped', /(^|\.)offline\.specialcdnstatus\.com$/],
  // In a region, internal, accelerated; dual stack.
  ['oss', /(^|\.)oss-[a-z0-9-]+\.aliyuncs\.com$/],
  ['oss', /(^|\.)oss\.aliyuncs\.com$/],
  ['cdn', /(^|\.)(kunlun[a-z]{2,3}|alikunlun|cdngslb|queniu[a-z]{2}|tbcache|alicdn)\.(com|net)$/],
  ['protection', /(^|\.)(yundunwaf|aliyunddos)\d*\.com$/],
]

const placeOf = (name: string): LeadsTo => suffixes.find(([, suffix]) => suffix.test(name))?.[0] ?? 'unknown'

/** Where a target of ours hosts a certificate. */
export type HostedOn = 'oss' | 'cdn'

/** In a sentence. */
export const placeNames: Readonly<Record<LeadsTo, string>> = {
  oss: 'OSS',
  cdn: 'CDN',
  stopped: 'a CDN domain that is stopped',
  protection: 'WAF or Anti-DDoS',
  unknown: 'a place that is not known',
}

/**
 * Why a certificate that is hosted there will not be seen under `host`, and what to do; undefined where it may well be.
 */
export const whyUnseen = (host: string, leadsTo: LeadsTo, hostedOn: HostedOn): Explanation | undefined => {
  if (leadsTo === hostedOn || leadsTo === 'unknown') return undefined
  if (leadsTo === 'stopped' || leadsTo === 'protection') return stoppedOrProtected(leadsTo, host)
  const cause = `DNS of ${host} leads to ${placeNames[leadsTo]}, so what is hosted on ${placeNames[hostedOn]} is not seen there`
  return leadsTo === 'cdn'
    ? { cause, hint: `add --cdn-domain ${host} (or --dcdn-domain, if it is a DCDN domain)` }
    : { cause, hint: `add --oss-cname ${host}, or point the CNAME of ${host} at CDN` }
}

/** Where neither OSS nor CDN answers for `host`. */
export const stoppedOrProtected = (place: 'stopped' | 'protection', host: string): Explanation =>
  place === 'stopped'
    ? {
        cause: `DNS of ${host} leads to CDN, where the domain is stopped`,
        hint: `start ${host} again in the CDN console, or point its CNAME somewhere else`,
      }
    : {
        cause: `DNS of ${host} leads to WAF or Anti-DDoS, which answers with a certificate of its own`,
        hint: `give the certificate to WAF or Anti-DDoS as well`,
      }
