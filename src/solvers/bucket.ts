import { setTimeout as sleep } from 'node:timers/promises'
import { OssClient, type OssClientOptions, vendorCode } from '../aliyun/oss-client.js'
import type { Permission } from '../aliyun/ram-policy.js'
import { eachOf } from '../each-of.js'
import { CertError } from '../errors.js'
import { interrupted, unlessAborted } from '../patience.js'
import { verdictOn } from './bucket-verdict.js'
import { lookAsCa, type Seen } from './ca-look.js'
import type { Challenge, Solver } from './solver.js'

export interface BucketOptions extends OssClientOptions {
  /** Where CAs begin, and where else they go than to 80 and 443; others in tests alone. */
  readonly httpPort: number
  readonly tlsPort: number
  /** Who is asked where the names lead, as `parseNameServer` gives it; the system's where it is absent. */
  readonly nameServer: string | undefined
}

const folder = '.well-known/acme-challenge/'

// How long an answer may take to be seen where it was put, in ms: CDN asks the bucket anew, and buckets are consistent.
const longestWait = 5000
const firstPause = 100
const looksAtOnce = 20

/** Answers http-01 with an object in the bucket that the names are bound to, be it behind CDN. */
export const bucket = (options: BucketOptions): Solver => {
  const client = new OssClient(options)
  /** By the token: why its object has no ACL of its own. */
  const aclRefused = new Map<string, string>()

  const put = async (challenge: Challenge, isPublic: boolean, signal: AbortSignal): Promise<void> => {
    const key = keyOf(challenge)
    const headers = {
      'Content-Type': 'application/octet-stream',
      'Cache-Control': 'no-store',
      ...(isPublic && { 'x-oss-object-acl': 'public-read' }),
    }
    const attempted = client.attempt('putting', isPublic ? 'oss:PutObject and oss:PutObjectAcl' : 'oss:PutObject', key)
    await client.call({ method: 'PUT', key, headers, body: Buffer.from(challenge.value), attempted }, signal)
  }

  return {
    answers: 'http-01',
    open: async (signal) => {
      await unlessAborted(options.credentials(), signal)
    },
    present: async (challenge, _all, signal) => {
      try {
        await put(challenge, true, signal)
      } catch (error) {
        if (vendorCode(error) !== 'AccessDenied') throw explained(error, options.bucket)
        // The bucket may be readable as it is; and whoever may not put at all is told of that by the next one.
        await put(challenge, false, signal)
        aclRefused.set(challenge.token, error instanceof CertError ? afterPlace(error.message) : '')
      }
    },
    settle: async (challenges, report, signal) => {
      const verdicts = await eachOf(challenges, looksAtOnce, async (challenge) => {
        const placed = { bucket: options.bucket, aclRefused: aclRefused.get(challenge.token) }
        const seen = await lookUntil(options, challenge, signal)
        return { seen, domain: challenge.domain, verdict: verdictOn(seen, challenge, placed) }
      })
      const wrong = verdicts.flatMap(({ verdict }) => (verdict instanceof CertError ? [verdict] : []))
      if (wrong.length > 0) {
        // CAs list the names in any order; each has a cause of its own.
        const told = wrong.sort((one, other) => (one.message < other.message ? -1 : 1))
        const hints = new Set(told.flatMap(({ hint }) => hint ?? []))
        throw new CertError('SOLVER_FAILED', told.map(({ message }) => message).join('; '), {
          hint: [...hints].join('; '),
          vendor: told[0]?.vendor,
        })
      }
      for (const { seen, domain, verdict } of verdicts) {
        const why = seen.kind === 'silence' ? seen.why : ''
        if (verdict === 'unknown') report(`${domain} cannot be looked at from here (${why})`)
      }
    },
    cleanUp: async (challenge, _all, signal) => {
      const key = keyOf(challenge)
      const attempted = client.attempt('deleting', 'oss:DeleteObject', key)
      aclRefused.delete(challenge.token)
      try {
        await client.call({ method: 'DELETE', key, attempted }, signal)
      } catch (error) {
        if (!['NoSuchKey', 'NoSuchBucket'].includes(vendorCode(error) ?? '')) throw error
      }
    },
  }
}

/** The rights that it uses. */
export const bucketPermissions = (name: string): readonly Permission[] => {
  const resources = [`acs:oss:*:*:${name}/${folder}*`]
  return [
    {
      actions: ['oss:PutObject', 'oss:PutObjectAcl', 'oss:DeleteObject'],
      resources,
      needed: true,
      why: "puts the answers to the CA's challenges there, lets everybody read them, and takes them away",
    },
  ]
}

const keyOf = ({ token }: Challenge): string => `${folder}${token}`

/** What the vendor said: `AccessDenied (You do not have …)`. */
const afterPlace = (message: string): string => message.slice(message.indexOf(': ') + 2)

const lookUntil = async (
  { httpPort, tlsPort, nameServer, timeout }: BucketOptions,
  { domain, place }: Challenge,
  signal: AbortSignal,
): Promise<Seen> => {
  const url = new URL(`http://${domain.includes(':') ? `[${domain}]` : domain}:${httpPort}${place}`)
  const options = { ports: [80, 443, httpPort, tlsPort], nameServer, signal }
  const deadline = performance.now() + Math.min(longestWait, timeout)
  for (let pause = firstPause; ; pause *= 2) {
    const seen = await lookAsCa(url, options)
    const mayChange = seen.kind === 'answer' && (seen.status === 404 || seen.status >= 500)
    if (!mayChange || performance.now() + pause > deadline) return seen
    await sleep(pause, undefined, { signal }).catch(() => {
      throw interrupted()
    })
  }
}

const explained = (error: unknown, name: string): unknown => {
  if (!(error instanceof CertError) || vendorCode(error) !== 'PublicEndpointForbidden') return error
  return new CertError(
    'CLOUD_REFUSED',
    `${error.message}: an account of this kind cannot begin with the bucket solver, since it may write into ${name} through a bound domain alone, over HTTPS, and that takes a certificate first`,
    {
      cause: error,
      vendor: error.vendor,
      hint: 'get the first one by --challenge dns-01 --solver alidns; from then on --challenge-endpoint https://your.domain (one that is bound to the bucket) will do, as does the internal endpoint on a machine in the same region',
    },
  )
}
