import type { CertificateService } from '../aliyun/certificate-service.js'
import { type EdgeCertificate, type EdgeDomains, type EdgeUpload, isDuplicate } from '../aliyun/edge-domains.js'
import type { CertificateBundle } from '../certificate/bundle.js'
import { covers, whyUncovered } from '../certificate/names.js'
import { firstCertificate } from '../certificate/x509.js'
import { type Options, text, toggle } from '../config/option.js'
import { CertError } from '../errors.js'
import { patiently } from '../patience.js'
import { auto, placesOf } from './auto.js'
import { newerThan } from './newer.js'
import { beginToFollow, type LookingContext, servedStep } from './served.js'
import { toStanding } from './standing.js'
import type {
  Circumstances,
  DeployTarget,
  Observed,
  Outcome,
  StandingCertificate,
  Step,
  Strand,
  TargetSettings,
} from './target.js'
import { edgeName, handedOver, keepInService } from './upload.js'

const edgeOptions = (product: string, endpoint: string) =>
  ({
    domain: text(
      `the ${product} domain (a wildcard as *.example.com), or auto for every one with HTTPS that the certificate covers`,
      { required: true },
    ),
    'enable-https': toggle('with auto: domains whose HTTPS is off as well; HTTPS requests are billed'),
    [endpoint]: text(`URL of the ${product} API`),
    'via-cas': toggle('upload to the certificate service once, and bind by its id'),
    'cas-endpoint': text('URL of the certificate service'),
    'allow-older': toggle('replace a newer certificate by an older one'),
    verify: toggle('done only when the domain serves the certificate'),
  }) satisfies Options

export const cdnOptions = edgeOptions('CDN', 'cdn-endpoint')
export const dcdnOptions = edgeOptions('DCDN', 'dcdn-endpoint')

export interface EdgeOptions {
  /** As the product spells it, or `auto`. */
  readonly domain: string
  readonly domains: EdgeDomains
  /** Scheme, host and port of the API. */
  readonly endpoint: string
  /** Where certificates are put first, to be bound by their id. */
  readonly service: CertificateService | undefined
  readonly settings: TargetSettings
  readonly enableHttps: boolean
  readonly allowOlder: boolean
  readonly verify: boolean
  /** How long to wait for the product to show what it was given, in ms. */
  readonly timeout: number
  readonly context: LookingContext
}

/** The certificate of a CDN or DCDN domain. */
export const edgeTarget = (options: EdgeOptions): DeployTarget => {
  const { domain, domains, settings } = options
  const isAuto = domain === auto
  return {
    kind: domains.product,
    identity: `${domains.product} ${domain} at ${options.endpoint}`,
    name: `${domains.product} ${domain}`,
    settings,
    serves: isAuto ? [] : [servedName(domain)],
    warmUp: () => domains.warmUp(1),
    accelerates: (host) => isAuto || covers([servedName(domain)], host),
    opens: async (bucket, signal) => {
      const isBehind = (origins: readonly string[]) => origins.some((origin) => origin.startsWith(`${bucket}.oss-`))
      if (!isAuto) return isBehind(await domains.origins(domain, signal)) ? [hostToLookAt(domain)] : undefined
      // Covered or not: what is read through one of them is read by anybody.
      const open = (await domains.list(signal)).filter(({ origins }) => isBehind(origins))
      if (open.length === 0) return undefined
      return open.filter(({ https }) => https || options.enableHttps).map((one) => hostToLookAt(one.domain))
    },
    observe: (ids, signal) => observe(domains, isAuto ? placesOf(ids) : [domain], signal),
    hosts: (ids) => (isAuto ? placesOf(ids) : [domain]).map(hostToLookAt),
    plan: (bundle, circumstances) =>
      isAuto
        ? [
            {
              id: 'find',
              does: `find the ${domains.product.toUpperCase()} domains that the certificate covers`,
              finds: true,
              run: (signal) => findDomains(options, bundle, circumstances, signal),
            },
          ]
        : strandOf(options, bundle, circumstances, domain),
    planFound: (bundle, circumstances, ids) =>
      placesOf(ids).map((place) =>
        strandOf(options, bundle, circumstances, place, ` ${place}`).filter(({ id }) => ids.includes(id)),
      ),
  }
}

/** The name that a certificate has to cover: `.example.com` stands for every host one label below it. */
export const servedName = (domain: string): string => (domain.startsWith('.') ? `*${domain}` : domain)

/** A host to look at; of a wildcard, one that is certainly not a domain of its own. */
const hostToLookAt = (domain: string): string => (domain.startsWith('.') ? `acme-oss-check${domain}` : domain)

const observe = async (domains: EdgeDomains, places: readonly string[], signal: AbortSignal): Promise<Observed> => {
  const looks = await Promise.all(
    places.map(async (place) => ({ place, certificate: await domains.certificate(place, signal) })),
  )
  if (looks.some(({ certificate }) => certificate === undefined)) return { status: 'refused' }
  return {
    status: 'found',
    places: looks.map(({ place, certificate }) => ({ place, certificate: standingOf(certificate) })),
  }
}

const standingOf = (found: EdgeCertificate | undefined): StandingCertificate | undefined => {
  const leaf = found?.https && found.certificate !== undefined ? firstCertificate(found.certificate) : undefined
  return leaf && toStanding(leaf, found?.name)
}

const strandOf = (
  options: EdgeOptions,
  bundle: CertificateBundle,
  circumstances: Circumstances,
  domain: string,
  suffix = '',
): Step[] => [
  {
    id: `bind${suffix}`,
    does: `give it to the ${options.domains.product.toUpperCase()} domain ${domain}`,
    run: (signal) => bind(options, bundle, circumstances, domain, signal),
  },
  ...(options.verify
    ? [servedStep({ id: `served${suffix}`, host: hostToLookAt(domain), bundle, hostedOn: 'cdn' }, options.context)]
    : []),
]

const findDomains = async (
  options: EdgeOptions,
  bundle: CertificateBundle,
  circumstances: Circumstances,
  signal: AbortSignal,
): Promise<Outcome> => {
  const { domains, enableHttps } = options
  const all = await domains.list(signal)
  const covered = all.filter(({ domain }) => covers(bundle.names, servedName(domain)))
  const chosen = covered.filter(({ https }) => https || enableHttps)
  const off = covered.length - chosen.length
  const product = domains.product.toUpperCase()
  const warnings =
    off === 0
      ? []
      : [
          `${product}: ${off} of the domains that the certificate covers ${off === 1 ? 'has' : 'have'} HTTPS off and ${off === 1 ? 'was' : 'were'} left alone (${covered
            .flatMap((one) => (chosen.includes(one) ? [] : [one.domain]))
            .slice(0, 3)
            .join(', ')}); --enable-https takes them as well, and HTTPS requests are billed`,
        ]
  if (chosen.length === 0) {
    const why =
      covered.length > 0
        ? []
        : [
            `${domains.product} auto: none of the ${all.length} ${product} domains that are online is covered by the certificate (${bundle.names.join(', ')})`,
          ]
    return { status: 'skipped', note: 'no domain is covered', warnings: [...why, ...warnings] }
  }
  const found: Strand[] = chosen.map(({ domain }) => strandOf(options, bundle, circumstances, domain, ` ${domain}`))
  return { status: 'unchanged', note: `found ${chosen.length}`, found, warnings }
}

const bind = async (
  options: EdgeOptions,
  bundle: CertificateBundle,
  circumstances: Circumstances,
  domain: string,
  signal: AbortSignal,
): Promise<Outcome> => {
  const { domains, service, allowOlder } = options
  const name = servedName(domain)
  // A domain that was found by an earlier run is asked for again.
  if (!covers(bundle.names, name)) {
    throw new CertError('NAME_NOT_COVERED', `the certificate does not cover ${name}`, {
      hint: whyUncovered(bundle.names, name),
    })
  }
  const remarks = domain.startsWith('.')
    ? async () => []
    : beginToFollow(domain, 'cdn', circumstances.others, options.context)
  const standing = await domains.certificate(domain, signal)
  const leaf =
    standing?.https && standing.certificate !== undefined ? firstCertificate(standing.certificate) : undefined
  if (leaf?.fingerprint.sha256 === bundle.fingerprint.sha256) {
    return { status: 'unchanged', note: 'already there', warnings: await remarks() }
  }
  const newer = allowOlder ? undefined : newerThan(bundle, [leaf, circumstances.newest])
  if (newer !== undefined) return { status: 'unchanged', note: newer, warnings: await remarks() }
  const kept = service && (await keepInService(service, bundle, signal))
  const isThere = async (): Promise<boolean> => {
    const now = await domains.certificate(domain, signal)
    const shown = now?.https && now.certificate !== undefined ? firstCertificate(now.certificate) : undefined
    return shown?.fingerprint.sha256 === bundle.fingerprint.sha256
  }
  const upload = (again: number): EdgeUpload =>
    kept === undefined
      ? { name: edgeName(bundle, domain, again), ...handedOver(bundle) }
      : { name: kept.name, id: kept.id, region: kept.region }
  const status = await setUnderAFreeName(domains, domain, upload, isThere, signal)
  const switchedOn =
    standing !== undefined && !standing.https
      ? [
          `HTTPS of the ${domains.product.toUpperCase()} domain ${domain} was off and is on now: HTTPS requests are billed`,
        ]
      : []
  const note = standing === undefined ? 'written without looking, since reading is not permitted' : undefined
  if (standing !== undefined) await waitUntilShown(domain, isThere, options.timeout, signal)
  return { status, note, warnings: [...switchedOn, ...(await remarks())] }
}

// A name is taken where an upload of it was lost half-way, which hardly happens twice.
const mostNames = 3

/** A name that is taken may be taken by this very certificate: what is bound tells. */
const setUnderAFreeName = async (
  domains: EdgeDomains,
  domain: string,
  upload: (again: number) => EdgeUpload,
  isThere: () => Promise<boolean>,
  signal: AbortSignal,
): Promise<Outcome['status']> => {
  for (let again = 0; ; again++) {
    try {
      await domains.setCertificate(domain, upload(again), signal)
      return 'changed'
    } catch (error) {
      if (!isDuplicate(error)) throw error
      if (await isThere()) return 'unchanged'
      if (again + 1 >= mostNames) throw error
    }
  }
}

/** What was taken is shown a moment later. */
const waitUntilShown = (
  domain: string,
  isThere: () => Promise<boolean>,
  timeout: number,
  signal: AbortSignal,
): Promise<void> =>
  patiently(
    async () => {
      if (await isThere()) return
      throw new CertError('CLOUD_UNAVAILABLE', `the certificate of ${domain} was taken, and is not shown yet`, {
        passing: true,
        hint: 'it may take some minutes; acme-oss sync looks again',
      })
    },
    { timeout, signal },
  )
