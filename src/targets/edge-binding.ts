import type { CertificateService } from '../aliyun/certificate-service.js'
import { type EdgeCertificate, type EdgeDomains, type EdgeUpload, isDuplicate, isGone } from '../aliyun/edge-domains.js'
import { hostToLookAt, servedName } from '../aliyun/edge-host.js'
import { type CertificateBundle, fullchain } from '../certificate/bundle.js'
import { covers, whyUncovered } from '../certificate/names.js'
import { type Certificate, firstCertificate } from '../certificate/x509.js'
import { CertError } from '../errors.js'
import { patiently } from '../patience.js'
import { certificateSums } from '../proof/expectation.js'
import { newerThan, standBack } from './newer.js'
import { asItIsServed, beginToFollow, type LookingContext, sendsBrokenChain } from './served.js'
import type { Circumstances, Outcome } from './target.js'
import { recordedAs, requireTrust, type TrustRule } from './untrusted.js'
import { edgeName, edgeNames, handedOver, keepInService } from './upload.js'

export interface EdgeBindingOptions {
  readonly domains: EdgeDomains
  /** Where certificates are put first, to be bound by their id. */
  readonly service: CertificateService | undefined
  readonly allowOlder: boolean
  readonly trust: TrustRule
  readonly verify: boolean
  /** How long to wait for the product to show what it was given, in ms. */
  readonly timeout: number
  readonly context: LookingContext
}

export interface EdgeBinding {
  readonly bundle: CertificateBundle
  readonly circumstances: Circumstances
  readonly domain: string
  /** Rather than named: then it may be gone again. */
  readonly isFound: boolean
  /** What an earlier run of this very certificate left: it was given to the domain under this name. */
  readonly proof: string | undefined
  readonly signal: AbortSignal
}

/** Gives a certificate to one domain of CDN or DCDN, unless it has that one or a newer one. */
export const bindToEdge = async (options: EdgeBindingOptions, binding: EdgeBinding): Promise<Outcome> => {
  const { domains, service, allowOlder, context } = options
  const { bundle, circumstances, domain, signal } = binding
  requireCovered(bundle, domain)
  const remarks = domain.startsWith('.') ? async () => [] : beginToFollow(domain, 'cdn', circumstances.others, context)
  const look = await lookFor(options, binding)
  if (look === 'gone') return { status: 'skipped', note: 'the domain is not there any more' }
  const { standing } = look
  if (isShown(standing, binding) && !(await isToBeMended(standing, options, binding))) {
    return { status: 'unchanged', note: 'already there', proof: standing?.name, warnings: await remarks() }
  }
  // One that is not for this domain is of no use to it, however new.
  const leaf = leafOf(standing)
  const useful = leaf && covers(leaf.names, servedName(domain)) ? leaf : undefined
  const known = circumstances.newestAt?.(domain) ?? circumstances.newest
  const newer = allowOlder ? undefined : newerThan(bundle, [useful, known])
  if (newer !== undefined) return { ...standBack(newer), warnings: await remarks() }
  const unknown = await requireTrustAt(options, binding, standing, useful)
  const kept = service && (await keepInService(service, bundle, signal))
  const upload = (again: number): EdgeUpload =>
    kept === undefined
      ? { name: edgeName(bundle, domain, again), ...handedOver(bundle) }
      : { name: kept.name, id: kept.id, region: kept.region }
  const { status, name: proof } = await setUnderAFreeName(options, binding, upload)
  if (standing === undefined) {
    const note = 'written without looking, since reading is not permitted'
    return { status, note, proof, warnings: [...unknown, ...(await remarks())] }
  }
  await waitUntilShown(options, binding)
  const product = domains.product.toUpperCase()
  const billed = `HTTPS of the ${product} domain ${domain} was off and is on now: HTTPS requests are billed`
  return { status, proof, warnings: [...(standing.https ? [] : [billed]), ...unknown, ...(await remarks())] }
}

const lookFor = async (
  { domains }: EdgeBindingOptions,
  { domain, isFound, signal }: EdgeBinding,
): Promise<{ readonly standing: EdgeCertificate | undefined } | 'gone'> => {
  try {
    return { standing: await domains.certificate(domain, signal) }
  } catch (error) {
    if (isFound && isGone(error)) return 'gone'
    throw error
  }
}

/** A domain that was found by an earlier run is asked for again. @throws CertError NAME_NOT_COVERED */
const requireCovered = ({ names }: CertificateBundle, domain: string): void => {
  const name = servedName(domain)
  if (covers(names, name)) return
  throw new CertError('NAME_NOT_COVERED', `the certificate does not cover ${name}`, { hint: whyUncovered(names, name) })
}

const leafOf = (standing: EdgeCertificate | undefined) =>
  standing?.https && standing.certificate !== undefined ? firstCertificate(standing.certificate) : undefined

/**
 * What is not for this domain need not be trusted; neither what nobody sees, since HTTPS is off.
 * @throws CertError CERTIFICATE_UNTRUSTED
 */
const requireTrustAt = (
  { domains, context, trust }: EdgeBindingOptions,
  { bundle, circumstances: { onRecord }, domain, signal }: EdgeBinding,
  standing: EdgeCertificate | undefined,
  useful: Certificate | undefined,
): Promise<readonly string[]> | readonly string[] => {
  const isKeptBack = standing?.https === true && standing.certificate === undefined
  if (standing !== undefined && useful === undefined && !isKeptBack) return []
  if (useful?.fingerprint.sha256 === bundle.fingerprint.sha256) return []
  const isIt = (leaf: Certificate): boolean => leaf.fingerprint.sha256 === useful?.fingerprint.sha256
  const ways =
    useful === undefined
      ? [async () => onRecord?.lastDone('bind', domain)]
      : [
          async () => standing?.certificate,
          recordedAs(onRecord, useful.fingerprint.sha256),
          () => asItIsServed(hostToLookAt(domain), isIt, context, signal),
        ]
  const place = `the ${domains.product.toUpperCase()} domain ${domain}`
  return requireTrust(bundle, trust, { place, standing: standing && { notAfter: useful?.notAfter }, ways })
}

/** By what it is; where the product keeps that to itself, by the name that only this one is given. */
const isShown = (standing: EdgeCertificate | undefined, { bundle, domain }: EdgeBinding): boolean => {
  if (standing === undefined || !standing.https) return false
  const leaf = leafOf(standing)
  if (leaf !== undefined) return leaf.fingerprint.sha256 === bundle.fingerprint.sha256
  return standing.name !== undefined && edgeNames(bundle, domain).includes(standing.name)
}

/** The right certificate with the wrong intermediates: shown by the product, or, where it shows none, by the edge. */
const isToBeMended = async (
  standing: EdgeCertificate | undefined,
  { verify, context }: EdgeBindingOptions,
  { bundle, domain, signal }: EdgeBinding,
): Promise<boolean> => {
  const shown = certificateSums(standing?.certificate ?? '')
  if (shown.length > 1) return !certificateSums(fullchain(bundle)).every((one) => shown.includes(one))
  return verify && (await sendsBrokenChain(hostToLookAt(domain), bundle, context, signal))
}

// A name is taken where an upload of it was lost half-way, which hardly happens twice.
const mostNames = 3

/** A name that is taken may be taken by this very certificate: what is bound tells. */
const setUnderAFreeName = async (
  { domains }: EdgeBindingOptions,
  binding: EdgeBinding,
  upload: (again: number) => EdgeUpload,
): Promise<{ readonly status: 'changed' | 'unchanged'; readonly name: string }> => {
  const { domain, proof, signal } = binding
  for (let again = 0; ; again++) {
    const given = upload(again)
    try {
      await domains.setCertificate(domain, given, signal)
      return { status: 'changed', name: given.name }
    } catch (error) {
      if (!isDuplicate(error)) throw error
      const standing = await domains.certificate(domain, signal)
      // Where looking is not permitted, it is the one that was given before, as far as can be known.
      if (isShown(standing, binding) || (standing === undefined && proof === given.name)) {
        return { status: 'unchanged', name: given.name }
      }
      if (again + 1 >= mostNames) throw error
    }
  }
}

/** What was taken is shown a moment later. */
const waitUntilShown = ({ domains, timeout }: EdgeBindingOptions, binding: EdgeBinding): Promise<void> => {
  const { domain, signal } = binding
  const look = async (): Promise<void> => {
    if (isShown(await domains.certificate(domain, signal), binding)) return
    throw new CertError('CLOUD_UNAVAILABLE', `the certificate of ${domain} was taken, and is not shown yet`, {
      passing: true,
      hint: 'it may take some minutes; acme-oss sync looks again',
    })
  }
  return patiently(look, { timeout, signal })
}
