import type { BoundDomain, BoundDomains, HostedCertificate, OwnershipRecord } from '../aliyun/bound-domains.js'
import type { CertificateService } from '../aliyun/certificate-service.js'
import type { CertificateBundle } from '../certificate/bundle.js'
import { covers } from '../certificate/names.js'
import { type Options, text, toggle } from '../config/option.js'
import { CertError } from '../errors.js'
import type { Look } from '../object-store.js'
import { auto, placesOf } from './auto.js'
import { newerThan } from './newer.js'
import { beginToFollow, isServedNow, type LookingContext, servedStep } from './served.js'
import type { Circumstances, DeployTarget, ObservedPlace, Outcome, Step, Strand, TargetSettings } from './target.js'
import { handedOver, keepInService } from './upload.js'

export const ossCnameOptions = {
  bucket: text('the OSS bucket that the domain is bound to', { required: true, defaultOf: 'oss' }),
  domain: text('the domain, or auto for every domain of the bucket that the certificate covers', { required: true }),
  region: text("the bucket's region, such as cn-hangzhou", { defaultOf: 'oss' }),
  'bucket-endpoint': text("URL for the bucket's configuration", { defaultOf: 'oss' }),
  'via-cas': toggle('upload to the certificate service once, and bind by its id'),
  'cas-endpoint': text('URL of the certificate service'),
  'allow-older': toggle('replace a newer certificate by an older one'),
  verify: toggle('done only when the domain serves the certificate'),
} satisfies Options

export interface OssCnameOptions {
  readonly bucket: string
  /** As `canonicalName` spells it, or `auto`. */
  readonly domain: string
  readonly domains: BoundDomains
  /** Where the bucket's configuration is. */
  readonly endpoint: string
  /** Where certificates are put first, to be bound by their id. */
  readonly service: CertificateService | undefined
  readonly settings: TargetSettings
  readonly allowOlder: boolean
  readonly verify: boolean
  readonly context: LookingContext
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
    opens: async (other) => (other === bucket ? (isAuto ? [] : [domain]) : undefined),
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
      placesOf(ids).map((place) =>
        strandOf(options, bundle, circumstances, place, ` ${place}`).filter(({ id }) => ids.includes(id)),
      ),
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
    run: (signal, proof) => new Binding(options, bundle, circumstances, domain).run(signal, proof),
  },
  ...(options.verify
    ? [servedStep({ id: `served${suffix}`, host: domain, bundle, hostedOn: 'oss' }, options.context)]
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
  const covered = look.value.map(({ domain }) => domain).filter((domain) => covers(bundle.names, domain))
  if (covered.length === 0) {
    const warning = `oss-cname ${bucket}/auto: none of the ${look.value.length} domains of the bucket is covered by the certificate (${bundle.names.join(', ')})`
    return { status: 'skipped', note: 'no domain is covered', warnings: [warning] }
  }
  const found: Strand[] = covered.map((domain) => strandOf(options, bundle, circumstances, domain, ` ${domain}`))
  return { status: 'unchanged', note: `found ${covered.length}`, found }
}

const conflict = 'CasRenewCertificateConflict'

/** One run's work on one domain. */
class Binding {
  readonly #options: OssCnameOptions
  readonly #bundle: CertificateBundle
  readonly #circumstances: Circumstances
  readonly #domain: string

  constructor(options: OssCnameOptions, bundle: CertificateBundle, circumstances: Circumstances, domain: string) {
    this.#options = options
    this.#bundle = bundle
    this.#circumstances = circumstances
    this.#domain = domain
  }

  async run(signal: AbortSignal, proof: string | undefined): Promise<Outcome> {
    const remarks = beginToFollow(this.#domain, 'oss', this.#circumstances.others, this.#options.context)
    const outcome = await this.#bind(signal, proof, true)
    return { ...outcome, warnings: [...(outcome.warnings ?? []), ...(await remarks())] }
  }

  async #bind(signal: AbortSignal, proof: string | undefined, mayTryAgain: boolean): Promise<Outcome> {
    const { domains, service } = this.#options
    const [look, kept] = await Promise.all([
      domains.list(signal),
      service && keepInService(service, this.#bundle, signal),
    ])
    const known = kept?.identifier ?? proof
    const standing = this.#standing(look)
    if (standing !== undefined && (await this.#isOurs(standing, known, signal))) {
      return { status: 'unchanged', note: 'already there', proof: standing.id }
    }
    const newer = this.#options.allowOlder
      ? undefined
      : newerThan(this.#bundle, [validityOf(standing), this.#circumstances.newest])
    if (newer !== undefined) return { status: 'unchanged', note: newer }
    const given = kept === undefined ? handedOver(this.#bundle) : { id: kept.identifier }
    try {
      await domains.put(this.#domain, given, standing?.id, signal)
    } catch (error) {
      if (!mayTryAgain || vendorCodeOf(error) !== conflict) throw await this.#explain(error, look, signal)
      return await this.#bindAgainst(standing, given, signal, proof)
    }
    return await this.#readBack(look, kept?.identifier, signal)
  }

  /** OSS says that another certificate is there than we saw: somebody else was at work, or it does not tell true ids. */
  async #bindAgainst(
    seen: HostedCertificate | undefined,
    given: Parameters<BoundDomains['put']>[1],
    signal: AbortSignal,
    proof: string | undefined,
  ): Promise<Outcome> {
    const { domains } = this.#options
    const look = await domains.list(signal)
    if (this.#standing(look)?.id !== seen?.id) return await this.#bind(signal, proof, false)
    await domains.put(this.#domain, given, undefined, signal)
    return await this.#readBack(look, 'id' in given ? given.id : undefined, signal)
  }

  #standing(look: Look<readonly BoundDomain[]>): HostedCertificate | undefined {
    if (look.status !== 'found') return undefined
    return look.value.find(({ domain }) => domain === this.#domain)?.certificate
  }

  /**
   * By its id, where we know that; by its fingerprint, where it is of an algorithm we know (the documents do not name
   * it, so another one proves nothing); else by looking, where its dates are the same.
   */
  async #isOurs(standing: HostedCertificate, known: string | undefined, signal: AbortSignal): Promise<boolean> {
    if (known !== undefined && standing.id === known) return true
    const { sha1, sha256 } = this.#bundle.fingerprint
    if (standing.fingerprint === sha1 || standing.fingerprint === sha256) return true
    return this.#hasOurDates(standing) && (await isServedNow(this.#domain, this.#bundle, this.#options.context, signal))
  }

  #hasOurDates({ notBefore, notAfter }: HostedCertificate): boolean {
    return (
      notBefore?.getTime() === this.#bundle.notBefore.getTime() &&
      notAfter?.getTime() === this.#bundle.notAfter.getTime()
    )
  }

  /** What OSS says that it hosts now. */
  async #readBack(
    before: Look<readonly BoundDomain[]>,
    identifier: string | undefined,
    signal: AbortSignal,
  ): Promise<Outcome> {
    const { bucket, domains } = this.#options
    if (before.status !== 'found') {
      return { status: 'changed', note: 'written without looking, since listing the domains is not permitted' }
    }
    const isNew = !before.value.some(({ domain }) => domain === this.#domain)
    const standing = this.#standing(await domains.list(signal))
    const { sha1, sha256 } = this.#bundle.fingerprint
    const isThere =
      standing !== undefined &&
      (standing.id === identifier ||
        standing.fingerprint === sha1 ||
        standing.fingerprint === sha256 ||
        this.#hasOurDates(standing))
    if (!isThere) {
      throw new CertError('CLOUD_UNAVAILABLE', `OSS took the certificate of ${this.#domain}, and does not show it`, {
        passing: true,
        hint: 'it may take a moment; acme-oss sync looks again',
      })
    }
    return { status: 'changed', note: isNew ? `bound to ${bucket} as well` : undefined, proof: standing.id }
  }

  /** A domain that is not bound has to be proven to be ours first; what that takes is asked for. */
  async #explain(error: unknown, look: Look<readonly BoundDomain[]>, signal: AbortSignal): Promise<unknown> {
    if (vendorCodeOf(error) !== 'NeedVerifyDomainOwnership' || !(error instanceof CertError)) return error
    const { bucket, domains } = this.#options
    const isBound = look.status === 'found' && look.value.some(({ domain }) => domain === this.#domain)
    const record = await domains.ownershipRecord(this.#domain, signal).catch(() => undefined)
    const what = isBound
      ? `${this.#domain} is bound to ${bucket}, but OSS wants it proven again that it is yours`
      : `${this.#domain} is not bound to the bucket ${bucket} yet, and OSS wants it proven that it is yours`
    return new CertError(error.code, what, { vendor: error.vendor, hint: howToProve(this.#domain, record) })
  }
}

const howToProve = (domain: string, record: OwnershipRecord | undefined): string =>
  record === undefined
    ? `bind ${domain} to the bucket in the console (Bucket, Domain Names), or grant oss:CreateCnameToken to be told the TXT record that proves it; then: acme-oss sync --now`
    : `add the DNS record ${record.host} of type TXT with the value ${record.value}${record.expires === undefined ? '' : ` (good until ${record.expires})`}; once it can be seen: acme-oss sync --now`

const validityOf = (standing: HostedCertificate | undefined) =>
  standing?.notBefore && standing.notAfter ? { notBefore: standing.notBefore, notAfter: standing.notAfter } : undefined

const vendorCodeOf = (error: unknown): string | undefined =>
  error instanceof CertError ? error.vendor?.code : undefined
