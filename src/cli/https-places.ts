import { servedName } from '../aliyun/edge-host.js'
import { ossEndpoint } from '../aliyun/endpoint.js'
import { boundDomains, edgeDomains } from '../aliyun/products.js'
import { covers } from '../certificate/names.js'
import { type Config, certificateNamed } from '../config/config.js'
import type { Settings } from '../config/option.js'
import { CertError, isInputError, toCertError } from '../errors.js'
import type { HttpsPlace } from '../https/https-place.js'
import { createHttpsPlace, type HttpsSettings } from '../https/index.js'
import { nearest } from '../nearest.js'
import { type DeploymentRecord, foundPlace, isOrWasWanted } from '../state/deployment-record.js'
import { deploymentNames, readDeployments } from '../state/deployments.js'
import { type HttpsRecord, httpsRecords } from '../state/https-record.js'
import type { StateFolder } from '../state/state-folder.js'
import { auto } from '../targets/auto.js'
import type { TargetContext } from '../targets/index.js'
import { type AskedTarget, askedTargets, type TargetValues } from './target-flags.js'
import { targetsOfEntry } from './wanted-targets.js'

/** A target as it was named, and the names that `auto` goes by. */
interface Named extends AskedTarget {
  readonly names: readonly string[] | undefined
  /** What an earlier run found instead of `auto`. */
  readonly found?: readonly string[] | undefined
}

export interface PlacesWish {
  readonly values: TargetValues
  /** Of certificates: their places are meant. */
  readonly names: readonly string[]
  readonly all: boolean
  readonly config: () => Promise<Config | undefined>
  readonly state: StateFolder
  readonly context: TargetContext
  /** Whose certificates are meant counts for some alone; those that were meant before, for `restore`. */
  readonly verb: 'status' | 'enforce' | 'relax' | 'restore' | 'disable'
  readonly signal: AbortSignal
}

export interface FoundPlaces {
  readonly places: readonly HttpsPlace[]
  /** What was named, and could not be made out: it keeps nothing else from being seen to. */
  readonly lost: readonly { readonly name: string; readonly error: CertError }[]
}

/**
 * The places that are meant: those that flags name, else those of the named certificates, else all that anything is known
 * of. Each once, whatever names it.
 * @throws CertError USAGE, CONFIG_INVALID
 */
export const httpsPlaces = async (wish: PlacesWish): Promise<FoundPlaces> => {
  const { values, names, all, context, state, verb, signal } = wish
  const asked = askedTargets(values)
  if (asked.length > 0 && (names.length > 0 || all)) {
    throw new CertError('USAGE', 'places are named, and certificates as well', {
      hint: 'name either the one or the other: acme-oss https status example.com, or acme-oss https status --cdn-domain www.example.com',
    })
  }
  const named = asked.length > 0 ? asked.map((one) => ({ ...one, names: undefined })) : await ofCertificates(wish)
  const lost: { name: string; error: CertError }[] = []
  const settings = await Promise.all(
    named.map((one) =>
      settingsOf(one, wish).catch((thrown: unknown) => {
        const error = toCertError(thrown)
        if (signal.aborted || isInputError(error)) throw error
        lost.push({ name: `${one.kind} ${one.settings['domain'] ?? one.settings['bucket']}`, error })
        return []
      }),
    ),
  )
  const isAll = asked.length === 0 && names.length === 0
  const make = (one: PlaceSettings): HttpsPlace =>
    createHttpsPlace(
      one.kind,
      one.kind === 'oss' ? { ...one.settings, ...edgeEndpoints(values) } : one.settings,
      context,
    )
  const places = merged(settings.flat(), make)
  if (isAll || verb === 'restore') addRecorded(places, await recorded(state), isAll, make)
  return { places: [...places.values()].map(make), lost }
}

/** What was changed before; what cannot be read of it is no reason to see to nothing. */
const recorded = async (state: StateFolder): Promise<readonly HttpsRecord[]> =>
  (await httpsRecords(state).catch(() => undefined))?.records ?? []

/** Domains of CDN and DCDN may fetch from a bucket. */
const edgeEndpoints = (values: TargetValues): HttpsSettings =>
  Object.fromEntries(
    (['cdn-endpoint', 'dcdn-endpoint'] as const).flatMap((name) => {
      const value = values[name]
      return value === undefined ? [] : [[name, value]]
    }),
  )

const ofCertificates = async ({ names, config: open, state, values }: PlacesWish): Promise<Named[]> => {
  const config = await open()
  // Where nothing can be read, the configuration has to do.
  const known = await deploymentNames(state).catch(() => [])
  const entries = (config?.certificates ?? []).filter(({ deploy }) => deploy.length > 0)
  const wanted = names.length > 0 ? names : [...new Set([...entries.map(({ name }) => name), ...known])]
  const found = await Promise.all(
    wanted.map(async (name): Promise<Named[]> => {
      const entry = config && certificateNamed(config, name)
      if (config !== undefined && entry !== undefined && entry.deploy.length > 0) {
        return targetsOfEntry(config, entry, values).map((one) => ({ ...one, names: entry.domains }))
      }
      const { records } = await readDeployments(state, name)
      if (records.length === 0 && names.length > 0) throw unknown(name, [...entries.map((one) => one.name), ...known])
      return records.slice(0, 1).flatMap(targetsOfRecord)
    }),
  )
  return found.flat()
}

const unknown = (name: string, known: readonly string[]): CertError => {
  const near = nearest(name, known)
  return new CertError('USAGE', `nothing is known of where the certificate ${name} goes`, {
    hint:
      near === undefined
        ? 'name the places, such as --bucket my-site --region cn-hangzhou or --cdn-domain www.example.com; acme-oss status lists the names'
        : `did you mean ${near}?`,
  })
}

const targetsOfRecord = (record: DeploymentRecord): Named[] =>
  Object.values(record.targets)
    .filter(isOrWasWanted)
    .map(({ kind, settings, steps }) => {
      const places = Object.keys(steps).flatMap((step) => foundPlace(step) ?? [])
      return { kind, settings, names: record.names, found: [...new Set(places)] }
    })

interface PlaceSettings {
  readonly kind: string
  readonly settings: HttpsSettings
}

const settingsOf = async (named: Named, wish: PlacesWish): Promise<PlaceSettings[]> => {
  const { kind, settings } = named
  if (kind === 'oss') return [bucketOf(settings, [])]
  if (kind === 'oss-cname') {
    // What becomes of plain HTTP is the bucket's alone.
    const isAbout = wish.verb === 'disable' || wish.verb === 'status'
    return [bucketOf(settings, isAbout ? await boundOnes(named, wish) : namedOnes(settings))]
  }
  if (kind !== 'cdn' && kind !== 'dcdn') return []
  const endpoint = settings[`${kind}-endpoint`]
  return (await edgeOnes(kind, named, wish)).map((domain) => ({
    kind,
    settings: { domain, ...(endpoint !== undefined && { [`${kind}-endpoint`]: endpoint }) },
  }))
}

/** Only what says where the bucket's own configuration is: a layout and a bound domain may be reached in different ways. */
const bucketOf = (settings: Settings, domains: readonly string[]): PlaceSettings => {
  const endpoint = bucketEndpoint(settings)
  const said = {
    bucket: settings['bucket'],
    region: settings['region'],
    'bucket-endpoint': endpoint,
    domains: domains.join(),
  }
  const given = Object.entries(said).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string' && entry[1] !== '',
  )
  return { kind: 'oss', settings: Object.fromEntries(given) }
}

/** A bound domain takes calls about objects alone. */
const bucketEndpoint = (settings: Settings): string | undefined => {
  const given = settings['bucket-endpoint'] ?? (settings['cname-endpoint'] === true ? undefined : settings['endpoint'])
  return given === undefined ? undefined : String(given)
}

const namedOnes = ({ domain }: Settings): readonly string[] => (domain === auto ? [] : [String(domain).toLowerCase()])

const boundOnes = async (named: Named, { context, signal }: PlacesWish): Promise<readonly string[]> => {
  const { settings, names, found } = named
  const domain = String(settings['domain'])
  if (domain !== auto) return [domain.toLowerCase()]
  if (found !== undefined && found.length > 0) return found
  const text = (name: string): string | undefined => (settings[name] === undefined ? undefined : String(settings[name]))
  const bucket = String(settings['bucket'])
  const endpoint = ossEndpoint({ bucket, region: text('region'), endpoint: bucketEndpoint(settings) })
  const listed = await boundDomains({ ...context, bucket, endpoint, bucketEndpoint: endpoint }).list(signal)
  if (listed.status !== 'found') throw notListed(`the domains of the bucket ${bucket}`, 'oss:ListCname')
  return listed.value.filter((one) => isMeant(one.domain, names)).map((one) => one.domain)
}

const edgeOnes = async (
  kind: 'cdn' | 'dcdn',
  named: Named,
  { context, signal }: PlacesWish,
): Promise<readonly string[]> => {
  const { settings, names, found } = named
  const domain = String(settings['domain'])
  if (domain !== auto) return [domain.toLowerCase().replace(/^\*/, '')]
  if (found !== undefined && found.length > 0) return found
  if (names === undefined) {
    throw new CertError('USAGE', `--${kind}-domain auto does not say of which certificate`, {
      hint: `name the domain, or the certificate: acme-oss https status example.com`,
    })
  }
  const endpoint = settings[`${kind}-endpoint`]
  const { domains } = edgeDomains(kind, endpoint === undefined ? undefined : String(endpoint), context)
  const listed = await domains.listIfPermitted(signal)
  if (listed === undefined)
    throw notListed(
      `the domains of ${kind.toUpperCase()}`,
      `${kind}:${kind === 'cdn' ? 'DescribeUserDomains' : 'DescribeDcdnUserDomains'}`,
    )
  return listed.filter((one) => one.https && isMeant(servedName(one.domain), names)).map((one) => one.domain)
}

const isMeant = (domain: string, names: readonly string[] | undefined): boolean =>
  names === undefined || names.includes(domain) || covers(names, domain)

const notListed = (what: string, action: string): CertError =>
  new CertError('CLOUD_REFUSED', `${what} may not be listed, so auto stands for nothing`, {
    hint: `grant ${action}, or name the domains`,
  })

type Places = Map<string, PlaceSettings>

/** One place for each, with the domains of a bucket together. */
const merged = (all: readonly PlaceSettings[], make: (settings: PlaceSettings) => HttpsPlace): Places => {
  const places: Places = new Map()
  for (const one of all) add(places, make(one).identity, one)
  return places
}

const add = (places: Places, identity: string, { kind, settings: { domains, ...settings } }: PlaceSettings): void => {
  const known = places.get(identity)
  const together = [known?.settings['domains'], domains].flatMap((of) => (typeof of === 'string' ? of.split(',') : []))
  const named = [...new Set(together)].sort().join()
  const kept = { ...settings, ...known?.settings }
  places.set(identity, { kind, settings: { ...kept, ...(named !== '' && { domains: named }) } })
}

/** Those that were changed before, too: as they were named then, or they could not be put back. */
const addRecorded = (
  places: Places,
  records: readonly HttpsRecord[],
  isAll: boolean,
  make: (settings: PlaceSettings) => HttpsPlace,
): void => {
  for (const { identity, kind, settings } of records) {
    if (!isAll && !places.has(identity)) continue
    try {
      add(places, make({ kind, settings }).identity, { kind, settings })
    } catch {
      // Somebody's hand was in it: there is no such place.
    }
  }
}
