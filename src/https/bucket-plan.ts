import type { BoundDomains } from '../aliyun/bound-domains.js'
import type { BucketConfiguration, BucketDocument } from '../aliyun/bucket-configuration.js'
import { CertError } from '../errors.js'
import { isOff, nothingConfigured, readConfiguration, withVersions } from './https-configuration.js'
import type { HttpsAim, HttpsChange, HttpsParts, HttpsPlan, HttpsState } from './https-place.js'
import type { HttpsWish } from './https-wish.js'
import {
  deniesPlainHttp,
  longestBucketPolicy,
  otherDenials,
  type ReadPolicy,
  readPolicy,
  withDenial,
  withoutDenial,
} from './policy-statement.js'

export interface BucketPlanOptions {
  readonly bucket: string
  readonly configuration: BucketConfiguration
  readonly bound: BoundDomains
  /** Those that were named; perhaps none. */
  readonly domains: readonly string[]
}

/** The part that is the certificate which OSS hosts for a domain: its id. */
export const certificatePart = (domain: string): string => `certificate ${domain}`

const domainOf = (part: string): string | undefined => /^certificate (.+)$/.exec(part)?.[1]

/** What has to be done to a bucket. @throws CertError USAGE, INPUT_TOO_LARGE, or why a part could not be read */
export const planBucket = (options: BucketPlanOptions, aim: HttpsAim, state: HttpsState): HttpsPlan => {
  switch (aim.verb) {
    case 'enforce':
      return {
        // Whoever is sent to HTTPS is to find it as it is wanted.
        changes: [...versionChange(options, aim.wish, state), ...denialChange(options, state)],
        warnings: [],
      }
    case 'relax':
      return relaxed(options, state)
    case 'disable':
      return disabled(options, state)
    case 'restore':
      return restored(options, aim.parts, state)
  }
}

const relaxed = (options: BucketPlanOptions, state: HttpsState): HttpsPlan => {
  const { bucket } = options
  const before = textOf(state, 'policy')
  const policy = before === null ? undefined : understood(before, bucket)
  const others = policy === undefined ? 0 : otherDenials(policy, bucket)
  const after = policy === undefined ? null : withoutDenial(policy, bucket)
  const does =
    after === null
      ? `delete the policy of bucket ${bucket}: it denies plain HTTP, and nothing else is in it`
      : `take what denies plain HTTP out of the policy of bucket ${bucket}`
  return {
    changes: before === after ? [] : [documentChange(options, 'policy', does, before, after)],
    warnings:
      others === 0
        ? []
        : [
            `the policy of bucket ${bucket} says more about plain HTTP (${others === 1 ? 'one statement' : `${others} statements`} for some of the visitors or objects only): that was left alone, and may still deny it`,
          ],
  }
}

/** HTTPS ends last: who is denied plain HTTP would have nothing left. */
const disabled = (options: BucketPlanOptions, state: HttpsState): HttpsPlan => {
  const { changes, warnings } = relaxed(options, state)
  // Those of domains that nobody named are somebody else's.
  const unnamed = `no domain of bucket ${options.bucket} is named, so the certificates of its domains stay: name them with --oss-cname`
  if (options.domains.length === 0) return { changes, warnings: [...warnings, unnamed] }
  for (const [part, why] of Object.entries(state.unread)) if (domainOf(part) !== undefined) throw why
  const hosted = Object.entries(state.parts).flatMap(([part, id]) => {
    const domain = domainOf(part)
    return domain === undefined || id === null ? [] : [certificateEnd(options, part, domain, id)]
  })
  return { changes: [...changes, ...hosted], warnings }
}

const versionChange = (options: BucketPlanOptions, { tls }: HttpsWish, state: HttpsState): HttpsChange[] => {
  if (!tls.includes('1.2') && !tls.includes('1.3')) {
    throw new CertError('USAGE', `TLS ${tls.join(' and ')} alone is not safe, and browsers no longer speak it`, {
      hint: 'add 1.2 or 1.3',
    })
  }
  const { bucket } = options
  const before = textOf(state, 'tls')
  const now = before === null ? undefined : readConfiguration(before)
  if (before !== null && now === undefined) {
    throw new CertError('USAGE', `the HTTPS configuration of bucket ${bucket} is not one that is understood here`, {
      hint: 'set the TLS versions in the console (the bucket, TLS version management)',
    })
  }
  if (now?.isOn && now.tls.join() === tls.join()) return []
  const does = `let bucket ${bucket} speak TLS ${tls.join(', ')} alone`
  return [documentChange(options, 'tls', does, before, withVersions(before, tls))]
}

const denialChange = (options: BucketPlanOptions, state: HttpsState): HttpsChange[] => {
  const { bucket } = options
  const before = textOf(state, 'policy')
  const after = withDenial(before === null ? undefined : understood(before, bucket), bucket)
  const bytes = Buffer.byteLength(after)
  if (before === after) return []
  if (bytes > longestBucketPolicy) {
    throw new CertError(
      'INPUT_TOO_LARGE',
      `the policy of bucket ${bucket} would have ${bytes} bytes with what denies plain HTTP, and OSS takes ${longestBucketPolicy} (16 KB)`,
      { hint: 'shorten it in the console first (the bucket, bucket policy)' },
    )
  }
  return [documentChange(options, 'policy', `deny plain HTTP in the policy of bucket ${bucket}`, before, after)]
}

/** @throws CertError why it could not be read */
const textOf = ({ parts, unread }: HttpsState, part: string): string | null => {
  const why = unread[part]
  if (why !== undefined) throw why
  return parts[part] ?? null
}

/** @throws CertError USAGE */
const understood = (policy: string, bucket: string): ReadPolicy => {
  const read = readPolicy(policy)
  if (typeof read !== 'string') return read
  throw new CertError('USAGE', `the policy of bucket ${bucket} is ${read}, and was left alone`, {
    hint: 'mend it in the console (the bucket, bucket policy), or delete it there',
  })
}

const restored = (options: BucketPlanOptions, wanted: HttpsParts, state: HttpsState): HttpsPlan => {
  const { bucket } = options
  const warnings: string[] = []
  const documents: HttpsChange[] = []
  const certificates: HttpsChange[] = []
  for (const [part, after] of Object.entries(wanted)) {
    const domain = domainOf(part)
    if (domain !== undefined)
      certificates.push(...restoredCertificate(options, { part, domain, after }, state, warnings))
    else if (part === 'tls') documents.push(...restoredConfiguration(options, after, state))
    else if (part === 'policy') documents.push(...restoredPolicy(options, after, state, warnings))
  }
  // A denial last, what lifts one first: nobody is to stand between plain HTTP and HTTPS without either.
  const isDenied = typeof wanted['policy'] === 'string' && denies(wanted['policy'], bucket)
  const byPolicy = documents.toSorted((a, b) => Number(b.part === 'policy') - Number(a.part === 'policy'))
  return {
    changes: isDenied ? [...certificates, ...byPolicy.toReversed()] : [...byPolicy, ...certificates],
    warnings,
  }
}

const restoredConfiguration = (options: BucketPlanOptions, wanted: string | null, state: HttpsState): HttpsChange[] => {
  const before = textOf(state, 'tls')
  if (before === wanted || (isOff(before) && isOff(wanted))) return []
  // None cannot be had again: OSS knows no way to delete one. Reading gives this text from now on, and not none.
  const after = wanted ?? nothingConfigured()
  const does = `put the HTTPS configuration of bucket ${options.bucket} back as it was`
  return [documentChange(options, 'tls', does, before, after)]
}

const restoredPolicy = (
  options: BucketPlanOptions,
  after: string | null,
  state: HttpsState,
  warnings: string[],
): HttpsChange[] => {
  const { bucket } = options
  const before = textOf(state, 'policy')
  if (before === after) return []
  if (foreign(before, bucket) !== foreign(after, bucket))
    warnings.push(`the policy of bucket ${bucket} has been changed otherwise, too, since it was saved: that is undone`)
  const does =
    after === null ? `delete the policy of bucket ${bucket}` : `put the policy of bucket ${bucket} back as it was`
  return [documentChange(options, 'policy', does, before, after)]
}

const denies = (policy: string, bucket: string): boolean => {
  const read = readPolicy(policy)
  return typeof read !== 'string' && read.statements.some(({ value }) => deniesPlainHttp(value, bucket))
}

/** What is in it besides; the whole text where it is not understood. */
const foreign = (policy: string | null, bucket: string): string | null => {
  const read = policy === null ? 'nothing' : readPolicy(policy)
  return typeof read === 'string' ? policy : withoutDenial(read, bucket)
}

const restoredCertificate = (
  options: BucketPlanOptions,
  { part, domain, after }: { readonly part: string; readonly domain: string; readonly after: string | null },
  state: HttpsState,
  warnings: string[],
): HttpsChange[] => {
  // There was none: whoever has one bound since then has done it on purpose.
  if (after === null) return []
  const before = state.parts[part]
  if (before === undefined) {
    const why = state.unread[part] ?? state.unread[certificatePart('*')]
    if (why !== undefined && why.code !== 'USAGE') throw why
    warnings.push(`${domain} is not bound to the bucket ${options.bucket} any more: its certificate was not put back`)
    return []
  }
  if (before === after) return []
  if (before !== null) {
    warnings.push(`${domain} has another certificate by now (${before}), which was left alone`)
    return []
  }
  return [certificateAgain(options, part, domain, after)]
}

const documentOfPart: Readonly<Record<'tls' | 'policy', BucketDocument>> = { tls: 'httpsConfig', policy: 'policy' }

const documentChange = (
  { bucket, configuration }: BucketPlanOptions,
  part: 'tls' | 'policy',
  does: string,
  before: string | null,
  after: string | null,
): HttpsChange => ({
  part,
  does,
  before,
  after,
  run: async (signal) => {
    const document = documentOfPart[part]
    // OSS knows no condition for a change: the least that can be done is to look right before it.
    const now = (await configuration.read(document, signal)) ?? null
    if (now === after) return
    if (now !== before)
      throw changedMeanwhile(`the ${part === 'tls' ? 'HTTPS configuration' : 'policy'} of bucket ${bucket}`)
    await (after === null ? configuration.deletePolicy(signal) : configuration.put(document, after, signal))
  },
})

const changedMeanwhile = (what: string): CertError =>
  new CertError('CLOUD_UNAVAILABLE', `${what} was changed by somebody else a moment ago, and was left alone`, {
    hint: 'run the command again: it begins with what is there now',
    passing: true,
  })

const certificateEnd = (
  { bound, bucket }: BucketPlanOptions,
  part: string,
  domain: string,
  id: string,
): HttpsChange => ({
  part,
  does: `delete the certificate that OSS hosts for ${domain} (bucket ${bucket})`,
  before: id,
  after: null,
  run: (signal) =>
    bound.turns.alone(domain, async () => {
      const now = await hostedId(bound, domain, signal)
      if (now === null) return
      if (now !== undefined && now !== id) throw changedMeanwhile(`the certificate of ${domain}`)
      await bound.deleteCertificate(domain, signal)
    }),
})

const certificateAgain = (
  { bound, bucket }: BucketPlanOptions,
  part: string,
  domain: string,
  id: string,
): HttpsChange => ({
  part,
  does: `have OSS host certificate ${id} for ${domain} again (bucket ${bucket})`,
  before: null,
  after: id,
  run: (signal) =>
    bound.turns.alone(domain, async () => {
      const now = await hostedId(bound, domain, signal)
      if (now === id) return
      if (now !== undefined && now !== null) throw changedMeanwhile(`the certificate of ${domain}`)
      try {
        await bound.put(domain, { id }, undefined, signal)
      } catch (error) {
        throw isTurnedDown(error) ? noLongerThere(error, domain) : error
      }
    }),
})

/** Undefined where it may no longer be asked for. */
const hostedId = async (
  bound: BoundDomains,
  domain: string,
  signal: AbortSignal,
): Promise<string | null | undefined> => {
  const look = await bound.list(signal)
  return look.status === 'found'
    ? (look.value.find((one) => one.domain === domain)?.certificate?.id ?? null)
    : undefined
}

const isTurnedDown = (error: unknown): error is CertError =>
  error instanceof CertError && /^Certificate/.test(error.vendor?.code ?? '')

const noLongerThere = ({ code, message, vendor, cause }: CertError, domain: string): CertError =>
  new CertError(code, message, {
    hint: `the certificate that ${domain} had can no longer be bound by its id: bind the current one with acme-oss deploy, or acme-oss sync where acme-oss has deployed it before`,
    vendor,
    cause,
  })
