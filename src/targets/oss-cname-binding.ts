import { createHash } from 'node:crypto'
import type { BoundDomain, BoundDomains, HostedCertificate, OwnershipRecord } from '../aliyun/bound-domains.js'
import type { CertificateService } from '../aliyun/certificate-service.js'
import { type CertificateBundle, fullchain } from '../certificate/bundle.js'
import type { Certificate } from '../certificate/x509.js'
import { CertError } from '../errors.js'
import type { Look } from '../object-store.js'
import { patiently } from '../patience.js'
import { newerThan, standBack } from './newer.js'
import { asItIsServed, beginToFollow, isServedNow, type LookingContext, sendsBrokenChain } from './served.js'
import type { Circumstances, Outcome, Validity } from './target.js'
import { recordedAs, requireTrust, type TrustRule } from './untrusted.js'
import { handedOver, keepInService } from './upload.js'

export interface OssCnameBindingOptions {
  readonly bucket: string
  readonly domains: BoundDomains
  /** Where certificates are put first, to be bound by their id. */
  readonly service: CertificateService | undefined
  readonly allowOlder: boolean
  readonly trust: TrustRule
  readonly verify: boolean
  /** How long to wait for OSS to show what it was given, in ms. */
  readonly timeout: number
  readonly context: LookingContext
}

export interface BoundCertificate {
  readonly bundle: CertificateBundle
  readonly circumstances: Circumstances
  /** As `canonicalName` spells it. */
  readonly domain: string
  /** Rather than named: then it may be unbound again. */
  readonly isFound: boolean
}

const conflict = 'CasRenewCertificateConflict'

/** One run's work on one domain. */
export class OssCnameBinding {
  readonly #options: OssCnameBindingOptions
  readonly #bundle: CertificateBundle
  readonly #circumstances: Circumstances
  readonly #domain: string
  readonly #isFound: boolean
  #unknown: readonly string[] = []

  constructor(options: OssCnameBindingOptions, { bundle, circumstances, domain, isFound }: BoundCertificate) {
    this.#options = options
    this.#bundle = bundle
    this.#circumstances = circumstances
    this.#domain = domain
    this.#isFound = isFound
  }

  async run(signal: AbortSignal, proof: string | undefined): Promise<Outcome> {
    const remarks = beginToFollow(this.#domain, 'oss', this.#circumstances.others, this.#options.context)
    const outcome = await this.#bind(signal, proof, true)
    return { ...outcome, warnings: [...(outcome.warnings ?? []), ...this.#unknown, ...(await remarks())] }
  }

  async #bind(signal: AbortSignal, proof: string | undefined, mayTryAgain: boolean): Promise<Outcome> {
    const { domains, service } = this.#options
    const [look, kept] = await Promise.all([
      domains.list(signal),
      service && keepInService(service, this.#bundle, signal),
    ])
    if (this.#isFound && look.status === 'found' && !look.value.some(({ domain }) => domain === this.#domain)) {
      return { status: 'skipped', note: 'the domain is not bound any more' }
    }
    const standing = this.#standing(look)
    if (standing !== undefined && (await this.#isOurs(standing, kept?.identifier, proof, signal))) {
      return { status: 'unchanged', note: 'already there', proof: this.#proofOf(standing) }
    }
    const newer = this.#options.allowOlder
      ? undefined
      : newerThan(this.#bundle, [validityOf(standing), this.#newestKnown()])
    if (newer !== undefined) return standBack(newer)
    if (look.status === 'refused' || standing?.isEnabled) this.#unknown = await this.#requireTrust(standing, signal)
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

  /** Of what stands there OSS tells no more than dates and fingerprint. @throws CertError CERTIFICATE_UNTRUSTED */
  async #requireTrust(standing: HostedCertificate | undefined, signal: AbortSignal): Promise<readonly string[]> {
    // Ours with other intermediates, or under an id that nobody knows.
    if (standing !== undefined && this.#hasOurFingerprint(standing)) return []
    const { context, trust } = this.#options
    const { onRecord } = this.#circumstances
    const ways =
      standing === undefined
        ? [async () => onRecord?.lastDone('bind', this.#domain)]
        : [
            recordedAs(onRecord, standing.fingerprint),
            () => asItIsServed(this.#domain, isThat(standing), context, signal),
          ]
    return requireTrust(this.#bundle, trust, { place: this.#domain, standing, ways })
  }

  #newestKnown(): Validity | undefined {
    const { newest, newestAt } = this.#circumstances
    return newestAt?.(this.#domain) ?? newest
  }

  #standing(look: Look<readonly BoundDomain[]>): HostedCertificate | undefined {
    if (look.status !== 'found') return undefined
    return look.value.find(({ domain }) => domain === this.#domain)?.certificate
  }

  /**
   * By its id, where we know that; by its fingerprint, where it is of an algorithm we know (the documents do not name
   * it, so another one proves nothing); else by looking, where its dates are the same. Neither fingerprint nor dates say
   * anything of the intermediates.
   */
  async #isOurs(
    standing: HostedCertificate,
    identifier: string | undefined,
    proof: string | undefined,
    signal: AbortSignal,
  ): Promise<boolean> {
    if (!standing.isEnabled) return false
    if (identifier !== undefined && standing.id === identifier) return true
    if (standing.id === idOfProof(proof)) return proof === this.#proofOf(standing)
    const { context, verify } = this.#options
    const isTheLeaf =
      this.#hasOurFingerprint(standing) ||
      (this.#hasOurDates(standing) && (await isServedNow(this.#domain, this.#bundle, context, signal)))
    return isTheLeaf && !(verify && (await sendsBrokenChain(this.#domain, this.#bundle, context, signal)))
  }

  /** By which a later run can tell that it is still there, intermediates and all: its id comes first. */
  #proofOf({ id }: HostedCertificate): string {
    return `${id} ${chainSum(this.#bundle)}`
  }

  #hasOurFingerprint({ fingerprint }: HostedCertificate): boolean {
    const { sha1, sha256 } = this.#bundle.fingerprint
    return fingerprint === sha1 || fingerprint === sha256
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
    const { bucket } = this.#options
    if (before.status !== 'found') {
      return { status: 'changed', note: 'written without looking, since listing the domains is not permitted' }
    }
    const isNew = !before.value.some(({ domain }) => domain === this.#domain)
    const seen = this.#standing(before)?.id
    const standing = await patiently(() => this.#shown(identifier, seen, signal), {
      timeout: this.#options.timeout,
      signal,
    })
    return { status: 'changed', note: isNew ? `bound to ${bucket} as well` : undefined, proof: this.#proofOf(standing) }
  }

  /**
   * What OSS shows after it took the certificate: told by its id, or by what it is.
   * @throws CertError CLOUD_UNAVAILABLE: not yet
   */
  async #shown(
    identifier: string | undefined,
    seen: string | undefined,
    signal: AbortSignal,
  ): Promise<HostedCertificate> {
    const standing = this.#standing(await this.#options.domains.list(signal))
    const isThere =
      standing !== undefined &&
      (standing.id === identifier ||
        // Where it tells nothing else.
        (standing.id !== seen && standing.notAfter === undefined) ||
        this.#hasOurFingerprint(standing) ||
        this.#hasOurDates(standing))
    if (isThere) return standing
    throw new CertError('CLOUD_UNAVAILABLE', `OSS took the certificate of ${this.#domain}, and does not show it`, {
      passing: true,
      hint: 'it may take a moment; acme-oss sync looks again',
    })
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

/** By its fingerprint; where that is of an algorithm nobody knows, by its dates. */
const isThat =
  ({ fingerprint: listed, notBefore, notAfter }: HostedCertificate) =>
  ({ fingerprint, ...leaf }: Certificate): boolean =>
    fingerprint.sha1 === listed ||
    fingerprint.sha256 === listed ||
    (notBefore?.getTime() === leaf.notBefore.getTime() && notAfter?.getTime() === leaf.notAfter.getTime())

const validityOf = (standing: HostedCertificate | undefined) =>
  standing?.notBefore && standing.notAfter ? { notBefore: standing.notBefore, notAfter: standing.notAfter } : undefined

const vendorCodeOf = (error: unknown): string | undefined =>
  error instanceof CertError ? error.vendor?.code : undefined

const chainSum = (bundle: CertificateBundle): string =>
  createHash('sha256').update(fullchain(bundle)).digest('hex').slice(0, 12)

/** What OSS called it, out of a proof. */
export const idOfProof = (proof: string | undefined): string | undefined => proof?.split(' ')[0]
