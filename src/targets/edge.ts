import { isHostOfBucket } from '../aliyun/bucket-host.js'
import { type EdgeCertificate, type EdgeDomains, isGone } from '../aliyun/edge-domains.js'
import { hostToLookAt, servedName } from '../aliyun/edge-host.js'
import type { CertificateBundle } from '../certificate/bundle.js'
import { covers } from '../certificate/names.js'
import { firstCertificate } from '../certificate/x509.js'
import { type Options, text, toggle } from '../config/option.js'
import { auto, placesOf, strandsOf } from './auto.js'
import { bindToEdge, type EdgeBindingOptions } from './edge-binding.js'
import { isExact, servedStep } from './served.js'
import { toStanding } from './standing.js'
import type {
  Circumstances,
  DeployTarget,
  Observed,
  Opening,
  Outcome,
  StandingCertificate,
  Step,
  Strand,
  TargetSettings,
} from './target.js'

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
    'allow-untrusted': toggle('replace a trusted certificate by one of a test CA'),
    verify: toggle('done only when the domain serves the certificate'),
  }) satisfies Options

export const cdnOptions = edgeOptions('CDN', 'cdn-endpoint')
export const dcdnOptions = edgeOptions('DCDN', 'dcdn-endpoint')

export interface EdgeOptions extends EdgeBindingOptions {
  /** As the product spells it, or `auto`. */
  readonly domain: string
  /** Scheme, host and port of the API. */
  readonly endpoint: string
  readonly settings: TargetSettings
  readonly enableHttps: boolean
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
    opens: (bucket, signal) => opening(domains, domain, bucket, signal),
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
      strandsOf(ids, (place, suffix) => strandOf(options, bundle, circumstances, place, suffix)),
  }
}

/** Covered or not, with HTTPS or without: what is read through a domain is read by anybody. */
const opening = async (domains: EdgeDomains, domain: string, bucket: string, signal: AbortSignal): Promise<Opening> => {
  const all = domain === auto ? await domains.listIfPermitted(signal) : await originOf(domains, domain, signal)
  if (all === undefined) return { opens: 'unknown', hosts: domain === auto ? [] : [hostToLookAt(domain)] }
  const hosts = all.filter(({ origins }) => origins.some((origin) => isHostOfBucket(origin, bucket)))
  return { opens: hosts.length > 0 ? 'yes' : 'no', hosts: hosts.map((one) => hostToLookAt(one.domain)) }
}

const originOf = async (domains: EdgeDomains, domain: string, signal: AbortSignal) => {
  const origins = await domains.origins(domain, signal)
  return origins && [{ domain, origins }]
}

const observe = async (domains: EdgeDomains, places: readonly string[], signal: AbortSignal): Promise<Observed> => {
  const looks = await Promise.all(
    places.map(async (place) => ({ place, found: await lookAtDomain(domains, place, signal) })),
  )
  if (looks.some(({ found }) => found === undefined)) return { status: 'refused' }
  return { status: 'found', places: looks.map(({ place, found }) => ({ place, certificate: standingOf(found) })) }
}

/** One that is not there any more has no certificate, and says nothing of the others. */
const lookAtDomain = async (
  domains: EdgeDomains,
  domain: string,
  signal: AbortSignal,
): Promise<EdgeCertificate | undefined> => {
  try {
    return await domains.certificate(domain, signal)
  } catch (error) {
    if (isGone(error)) return { https: false, certificate: undefined, name: undefined, kept: undefined }
    throw error
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
    run: (signal, proof) =>
      options.domains.turns.alone(domain, () =>
        bindToEdge(options, { bundle, circumstances, domain, isFound: suffix !== '', proof, signal }),
      ),
  },
  ...(options.verify
    ? [
        servedStep(
          {
            id: `served${suffix}`,
            host: hostToLookAt(domain),
            bundle,
            hostedOn: 'cdn',
            isExact: isExact(options.settings),
          },
          options.context,
        ),
      ]
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
