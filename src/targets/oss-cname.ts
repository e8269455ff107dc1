import type { BoundDomain } from '../aliyun/bound-domains.js'
import type { CertificateBundle } from '../certificate/bundle.js'
import { covers } from '../certificate/names.js'
import { type Options, text, toggle } from '../config/option.js'
import { CertError } from '../errors.js'
import { auto, placesOf, strandsOf } from './auto.js'
import { OssCnameBinding, type OssCnameBindingOptions } from './oss-cname-binding.js'
import { isExact, servedStep } from './served.js'
import type { Circumstances, DeployTarget, ObservedPlace, Outcome, Step, Strand, TargetSettings } from './target.js'

export const ossCnameOptions = {
  bucket: text('the OSS bucket that the domain is bound to', { required: true, defaultOf: 'oss' }),
  domain: text('the domain, or auto for every domain of the bucket that the certificate covers', { required: true }),
  region: text("the bucket's region, such as cn-hangzhou", { defaultOf: 'oss' }),
  endpoint: text('URL for the bucket', { defaultOf: 'oss' }),
  'cname-endpoint': toggle('that is a bound domain, and takes no calls about domains', { defaultOf: 'oss' }),
  'bucket-endpoint': text("URL for the bucket's configuration", { defaultOf: 'oss' }),
  'via-cas': toggle('upload to the certificate service once, and bind by its id'),
  'cas-endpoint': text('URL of the certificate service'),
  'allow-older': toggle('replace a newer certificate by an older one'),
  'allow-untrusted': toggle('replace a trusted certificate by one of a test CA'),
  verify: toggle('done only when the domain serves the certificate'),
} satisfies Options

export interface OssCnameOptions extends OssCnameBindingOptions {
  /** As `canonicalName` spells it, or `auto`. */
  readonly domain: string
  /** Where the bucket's configuration is. */
  readonly endpoint: string
  readonly settings: TargetSettings
}

/** The certificate that OSS hosts for a domain which is bound to a bucket. */
export const ossCname = (options: OssCnameOptions): DeployTarget => {
  const { bucket, domain, domains, settings } = options
  const isAuto = domain === auto
  return {
    kind: 'oss-cname',
    identity: `oss-cname ${bucket}/${domain} at ${options.endpoint}`,
    name: `oss-cname ${bucket}/${domain}`,
    settings,
    serves: isAuto ? [] : [domain],
    warmUp: () => domains.warmUp(1),
    binds: (other) => isAuto || other === domain,
    // Those that auto finds are found in the bucket's list of domains.
    opens: async (other) => ({ opens: other === bucket ? 'yes' : 'no', hosts: isAuto ? [] : [domain] }),
    observe: async (ids, signal) => {
      const look = await domains.list(signal)
      if (look.status !== 'found') return { status: 'refused' }
      const places = isAuto ? placesOf(ids) : [domain]
      return { status: 'found', places: places.map((place) => standingAt(place, look.value)) }
    },
    hosts: (ids) => (isAuto ? placesOf(ids) : [domain]),
    plan: (bundle, circumstances) =>
      isAuto
        ? [
            {
              id: 'find',
              does: `find the domains of ${bucket} that the certificate covers`,
              finds: true,
              run: (signal) => findDomains(options, bundle, circumstances, signal),
            },
          ]
        : strandOf(options, bundle, circumstances, domain),
    planFound: (bundle, circumstances, ids) =>
      strandsOf(ids, (place, suffix) => strandOf(options, bundle, circumstances, place, suffix)),
  }
}

const standingAt = (place: string, all: readonly BoundDomain[]): ObservedPlace => ({
  place,
  certificate: all.find(({ domain }) => domain === place)?.certificate,
})

const strandOf = (
  options: OssCnameOptions,
  bundle: CertificateBundle,
  circumstances: Circumstances,
  domain: string,
  suffix = '',
): Step[] => [
  {
    id: `bind${suffix}`,
    does: `have OSS host it for ${domain} (bucket ${options.bucket})`,
    run: (signal, proof) =>
      options.domains.turns.alone(domain, () =>
        new OssCnameBinding(options, { bundle, circumstances, domain, isFound: suffix !== '' }).run(signal, proof),
      ),
  },
  ...(options.verify
    ? [
        servedStep(
          { id: `served${suffix}`, host: domain, bundle, hostedOn: 'oss', isExact: isExact(options.settings) },
          options.context,
        ),
      ]
    : []),
]

const findDomains = async (
  options: OssCnameOptions,
  bundle: CertificateBundle,
  circumstances: Circumstances,
  signal: AbortSignal,
): Promise<Outcome> => {
  const { bucket, domains } = options
  const look = await domains.list(signal)
  if (look.status !== 'found') {
    throw new CertError('CLOUD_REFUSED', `the domains of ${bucket} may not be listed`, {
      hint: `grant the RAM user oss:ListCname on acs:oss:*:*:${bucket} (acme-oss policy prints all that is needed), or name each domain: --oss-cname ${bucket}/static.example.com`,
    })
  }
  const all = look.value.filter(({ domain }) => covers(bundle.names, domain))
  const covered = all.filter(({ isEnabled }) => isEnabled).map(({ domain }) => domain)
  const warnings = all
    .filter(({ isEnabled }) => !isEnabled)
    .map(({ domain }) => `${domain} is disabled in the bucket ${bucket}, and was left alone`)
  if (covered.length === 0) {
    const warning = `oss-cname ${bucket}/auto: none of the ${look.value.length} domains of the bucket is covered by the certificate (${bundle.names.join(', ')})`
    return { status: 'skipped', note: 'no domain is covered', warnings: [...warnings, warning] }
  }
  const found: Strand[] = covered.map((domain) => strandOf(options, bundle, circumstances, domain, ` ${domain}`))
  return { status: 'unchanged', note: `found ${covered.length}`, found, warnings }
}
