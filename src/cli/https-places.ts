import { servedName } from '../aliyun/edge-host.js'
import { ossEndpoint } from '../aliyun/endpoint.js'
import { boundDomains, edgeDomains } from '../aliyun/products.js'
import { covers } from '../certificate/names.js'
import { type Config, certificateNamed } from '../config/config.js'
import type { Settings } from '../config/option.js'
import { CertError } from '../errors.js'
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
  readonly signal: AbortSignal
}

/**
 * The places that are meant: those that flags name, else those of the named certificates, else all that anything is known
 * of. Each once, whatever names it.
 * @throws CertError USAGE, CONFIG_INVALID, STATE_UNUSABLE, and what asking for the domains of `auto` throws
 */
export const httpsPlaces = async (wish: PlacesWish): Promise<HttpsPlace[]> => {
  const { values, names, all, context } = wish
  const asked = askedTargets(values)
  if (asked.length > 0 && (names.length > 0 || all)) {
    throw new CertError('USAGE', 'places are named, and certificates as well', {
      hint: 'name either the one or the other: acme-oss https status example.com, or acme-oss https status --cdn-domain www.example.com',
    })
  }
  const named = asked.length > 0 ? asked.map((one) => ({ ...one, names: undefined })) : await ofCertificates(wish)
  const places = (await Promise.all(named.map((one) => settingsOf(one, wish)))).flat()
  const { records } = await httpsRecords(wish.state)
  const isAll = asked.length === 0 && names.length === 0
  const make = ({ kind, settings }: PlaceSettings): HttpsPlace =>
    createHttpsPlace(kind, kind === 'oss' ? { ...settings, ...edgeEndpoints(values) } : settings, context)
  return merged(places, records, isAll, make)
}

/** Domains of CDN and DCDN may fetch from a bucket. */
const edgeEndpoints = (values: TargetValues): HttpsSettings =>
  Object.fromEntries(
    (['cdn-endpoint', 'dcdn-endpoint'] as const).flatMap((name) => {
      const value = values[name]
      return value === undefined ? [] : [[name, value]]
    }),
  )

const ofCertificates = async ({ names, all, config: open, state, values }: PlacesWish): Promise<Named[]> => {
  const config = await open()
  const known = await deploymentNames(state)
  const entries = (config?.certificates ?? []).filter(({ deploy }) => deploy.length > 0)
  const wanted = names.length > 0 ? names : [...new Set([...entries.map(({ name }) => name), ...(all ? known : known)])]
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
  if (kind === 'oss-cname') return [bucketOf(settings, await boundOnes(named, wish))]
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

/** One place for each, with the domains of a bucket together, those too that were meant when it was changed. */
const merged = (
  all: readonly PlaceSettings[],
  records: readonly HttpsRecord[],
  isAll: boolean,
  make: (settings: PlaceSettings) => HttpsPlace,
): HttpsPlace[] => {
  const places = new Map<string, PlaceSettings>()
  const add = (one: PlaceSettings, isNew: boolean): void => {
    const { identity } = make(one)
    const known = places.get(identity)
    if (known === undefined && !isNew) return
    const { domains, ...settings } = known?.settings ?? one.settings
    const together = [domains, one.settings['domains']].flatMap((of) => (typeof of === 'string' ? of.split(',') : []))
    const named = [...new Set(together)].sort().join()
    places.set(identity, { kind: one.kind, settings: { ...settings, ...(named !== '' && { domains: named }) } })
  }
  for (const one of all) add(one, true)
  for (const { kind, settings } of records) add({ kind, settings }, isAll)
  return [...places.values()].map(make)
}
