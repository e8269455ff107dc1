import { hostToLookAt } from '../aliyun/edge-host.js'
import { boundDomains } from '../aliyun/products.js'
import { covers } from '../certificate/names.js'
import { CertError, toCertError } from '../errors.js'
import type { HostedOn } from '../proof/dns-path.js'
import { auto } from '../targets/auto.js'
import { bucketsOf } from './bucket-place.js'
import { type About, type Check, type Outcome, type OutcomeOf, unknown } from './check.js'
import { edgesOf, type Situation, targetsOf, textIn, type Wanted, type WantedTarget } from './situation.js'

/** A host that is to be served, and on what its certificate is hosted. */
export interface Host {
  readonly host: string
  readonly hostedOn: ReadonlySet<HostedOn>
}

export interface Hosts {
  readonly hosts: readonly Host[]
  /** The targets whose domains could not be found. */
  readonly untold: readonly { readonly of: string; readonly why: string }[]
}

export interface HostLook {
  readonly id: string
  readonly about: About
  /** As `Check.what` of a host. */
  what(host: string): string
  look(host: Host, signal: AbortSignal): Promise<Outcome>
}

/** One check for each host that is named, and one for all that `auto` finds. */
export const hostChecks = (situation: Situation, { id, about, what, look }: HostLook): Check[] => {
  const targets = targetsOf(situation).filter((one) => placeOf(one) !== undefined)
  const named = new Set(targets.filter(isNamed).flatMap(({ target }) => target.hosts?.([]) ?? []))
  const own = { about, reaches: true } as const
  return [
    ...[...named].map((name) => ({
      ...own,
      id: `${id} ${name}`,
      what: what(name),
      run: async (signal: AbortSignal) => {
        const { hosts } = await hostsOf(situation, signal)
        return await look(hosts.find(({ host }) => host === name) ?? { host: name, hostedOn: new Set() }, signal)
      },
    })),
    ...(targets.every(isNamed)
      ? []
      : [
          {
            ...own,
            id,
            what: what('the domains that auto finds'),
            run: async (signal: AbortSignal) => {
              const { hosts, untold } = await hostsOf(situation, signal)
              const others = hosts.filter(({ host }) => !named.has(host))
              const outcomes = others.map(async (one) => ({ of: one.host, ...(await look(one, signal)) }))
              return [
                ...(await Promise.all(outcomes)),
                ...untold.map(({ of, why }): OutcomeOf => ({ of, ...unknown(`the domains of ${of}: ${why}`) })),
              ]
            },
          },
        ]),
  ]
}

const isNamed = ({ settings }: WantedTarget): boolean => settings['domain'] !== auto

const known = new WeakMap<Situation, Promise<Hosts>>()

/** Those that targets name, and those that `auto` would find now. Asked for once. */
export const hostsOf = (situation: Situation, signal: AbortSignal): Promise<Hosts> => {
  const looking = known.get(situation) ?? find(situation, signal)
  known.set(situation, looking)
  return looking
}

const find = async (situation: Situation, signal: AbortSignal): Promise<Hosts> => {
  const hosts = new Map<string, Set<HostedOn>>()
  const untold: Hosts['untold'][number][] = []
  const found = situation.deployments.flatMap((wanted) =>
    wanted.targets.map(async (target) => {
      const hostedOn = placeOf(target)
      if (hostedOn === undefined) return
      try {
        for (const host of await namesOf(target, wanted, situation, signal)) {
          hosts.set(host, (hosts.get(host) ?? new Set()).add(hostedOn))
        }
      } catch (error) {
        untold.push({ of: target.target.name, why: toCertError(error).message })
      }
    }),
  )
  await Promise.all(found)
  const all = [...hosts].map(([host, hostedOn]) => ({ host, hostedOn }))
  return { hosts: all.sort((a, b) => (a.host < b.host ? -1 : 1)), untold }
}

const placeOf = ({ kind }: WantedTarget): HostedOn | undefined =>
  kind === 'oss-cname' ? 'oss' : kind === 'cdn' || kind === 'dcdn' ? 'cdn' : undefined

const namesOf = async (
  { kind, settings, target }: WantedTarget,
  { domains }: Wanted,
  situation: Situation,
  signal: AbortSignal,
): Promise<readonly string[]> => {
  if (isNamed({ kind, settings, target })) return target.hosts?.([]) ?? []
  // Where nobody knows the certificate's names, whatever is there may be meant.
  const isMeant = (host: string): boolean => domains.length === 0 || covers(domains, host)
  if (kind !== 'oss-cname') {
    const all = await edgesOf(situation, kind === 'dcdn' ? 'dcdn' : 'cdn').domains.list(signal)
    const on = all.filter(({ https }) => https || settings['enable-https'] === true)
    return on.map(({ domain }) => hostToLookAt(domain)).filter(isMeant)
  }
  const place = bucketsOf(situation).find(({ bucket }) => bucket === textIn(settings, 'bucket'))
  if (place === undefined) return []
  const { bucket, bucketEndpoint } = place
  const look = await boundDomains({ ...situation.context, bucket, endpoint: bucketEndpoint, bucketEndpoint }).list(
    signal,
  )
  if (look.status !== 'found') throw new CertError('CLOUD_REFUSED', 'they may not be listed (oss:ListCname)')
  return look.value.filter(({ isEnabled, domain }) => isEnabled && isMeant(domain)).map(({ domain }) => domain)
}
