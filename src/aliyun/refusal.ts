import { CertError, systemCode } from '../errors.js'
import { answerTooLarge, largestAnswer } from '../http-connections.js'
import { holdsSecret, redact } from '../secret.js'

/** What an Alibaba Cloud service answered instead of doing what it was asked. */
export interface Refusal {
  readonly status: number
  /** The vendor's code; empty where the answer had none (a proxy's error page). */
  readonly code: string
  readonly message: string
  readonly requestId?: string | undefined
  /** Where the bucket lives, when the request went elsewhere. */
  readonly endpoint?: string | undefined
  /** In ms. */
  readonly retryAfter?: number | undefined
}

/** What was asked for, to say it in the error. */
export interface Attempted {
  /** A gerund phrase: `putting oss://my-ssl-certs/certs/cert.pem`. */
  readonly doing: string
  /** The RAM action and resource that it takes. */
  readonly action: string
  readonly resource: string
}

/** Turns an answer into an error that says what to do, without anything of the request in it. */
export const explainRefusal = (refusal: Refusal, attempted: Attempted): CertError => {
  const code = refusal.code || `HTTP ${refusal.status}`
  const passing = isPassing(refusal)
  return new CertError(
    passing ? 'CLOUD_UNAVAILABLE' : 'CLOUD_REFUSED',
    `${attempted.doing}: ${code}${sentence(refusal)}`,
    {
      hint: hintFor(refusal, attempted),
      vendor: { code, requestId: refusal.requestId },
      passing,
      retryAfter: refusal.retryAfter,
    },
  )
}

// More than is shown, so that what looks harmless only because it was cut is seen for what it is.
const looksAt = 1000

// The vendor echoes the whole string to sign (with the STS token in it), what it was sent (with the key in it) and whole
// pages of HTML; one line is enough. It ends up in the state folder as well, where nothing else redacts it.
const sentence = ({ code, message }: Refusal): string => {
  const line = redact(message).split('\n')[0]?.trim().replace(/\.$/, '').slice(0, looksAt) ?? ''
  return code === '' || line === '' || holdsSecret(line) ? '' : ` (${line.slice(0, 200)})`
}

const passingCodes = new Set([
  'requesttimeout',
  'serviceunavailable',
  'internalerror',
  'servicebusy',
  'lastoperationnotfinished',
  // An answer that got lost on its way: every try has a nonce of its own.
  'signaturenonceused',
])

const isPassing = ({ status, code }: Refusal): boolean => {
  const folded = code.toLowerCase()
  return (
    status >= 500 ||
    status === 408 ||
    status === 429 ||
    passingCodes.has(folded) ||
    /^(rejected\.)?throttling/.test(folded)
  )
}

const hintFor = (refusal: Refusal, attempted: Attempted): string => {
  if (isPassing(refusal)) return 'nothing is wrong on this side; it may pass by itself'
  if (refusal.endpoint)
    return `the bucket is at ${refusal.endpoint}: give its region with --region, or --endpoint https://${refusal.endpoint}`
  if (refusal.code === '')
    return `this is not an answer of ${serviceOf(attempted)}: check the endpoint, and what lies between (a proxy, a CDN)`
  return (
    hintOf(refusal.code)?.(attempted) ??
    `look the code up at https://api.aliyun.com/troubleshoot?q=${encodeURIComponent(refusal.code)}`
  )
}

/** Codes are matched whatever their case (the vendor's own pages differ), and a family by what stands before the dot. */
const hintOf = (code: string): Hint | undefined => {
  const folded = code.toLowerCase()
  return hints.get(folded) ?? families.get(folded.split('.')[0] ?? '')
}

const serviceOf = ({ action }: Attempted): string => (action.startsWith('oss:') ? 'OSS' : 'Alibaba Cloud')

type Hint = (attempted: Attempted) => string

const newToken = () =>
  'the temporary credentials ran out: get new ones, or let the RAM role of the machine provide them'

const wrongClock = () => 'the clock of this machine is wrong by more than 15 minutes: set it (timedatectl set-ntp true)'

const noSuchKey = () =>
  'there is no such access key, or it is disabled: check ALIBABA_CLOUD_ACCESS_KEY_ID (RAM console, AccessKey); temporary keys need ALIBABA_CLOUD_SECURITY_TOKEN beside them'

const wrongSecret = () =>
  'the secret does not belong to this access key: check ALIBABA_CLOUD_ACCESS_KEY_SECRET for missing or additional characters'

const grant: Hint = ({ action, resource }) =>
  `grant the RAM user ${action} on ${resource} (RAM console, policy); acme-oss policy prints all that is needed`

const notOnline = () => 'the domain is stopped or still being checked: start it in the console first'

const protectedMode = () =>
  'the cloud keeps this domain from being changed (protected or safe mode): look at it in the console, or ask its support'

const frozenZone = () =>
  'the cloud keeps this zone or record from being changed: look at it in the console (DNS), or ask its support'

const duplicate = () =>
  'the product has the certificate under another name, or another one under its name, and does not say which: --via-cas binds it by its id instead'

const hints: ReadonlyMap<string, Hint> = new Map<string, Hint>(
  Object.entries({
    AccessDenied: ({ action, resource }: Attempted) =>
      `grant the RAM user ${action} on ${resource} (RAM console, policy); acme-oss policy prints all that is needed; a bucket policy can deny it too`,
    AccessKeyIdAndSecurityTokenNotMatch: () =>
      'key and security token are of different sessions: set all three variables from the same answer',
    BatchSetBusinessError: () =>
      'the product does not take this beside what the domain has now: look at the domain in the console; a redirect from HTTPS to HTTP, on or off, is in the way of one to HTTPS',
    CertNameAlreadyExists: duplicate,
    'Certificate.Duplicated': duplicate,
    'CertificateContent.Duplicated': duplicate,
    CdnServiceNotFound: () => 'CDN is not activated for this account: activate it in the console',
    'CertName.MissingParameter': () => 'this is a fault in acme-oss: report it with the request id',
    DcdnServiceNotFound: () => 'DCDN is not activated for this account: activate it in the console',
    DomainForbidden: frozenZone,
    DomainInProtectedMode: protectedMode,
    DomainInSafeMode: protectedMode,
    DomainRecordConflict: () =>
      'a CNAME stands at the place, and no TXT record can stand beside it: delete it, or make the zone that it leads to one of this account',
    DomainRecordLocked: frozenZone,
    IncorrectDomainUser: () =>
      'the zone is in AliDNS, but in another account: use an access key of that account, or lead _acme-challenge there to a zone of this one by a CNAME',
    InvalidAccessKeyId: noSuchKey,
    'InvalidDomain.NotFound': ({ action }: Attempted) =>
      action.startsWith('dcdn:')
        ? 'there is no such DCDN domain in this account; if it is a CDN domain, use --cdn-domain'
        : 'there is no such CDN domain in this account; if it is a DCDN domain, use --dcdn-domain',
    'InvalidDomain.Offline': notOnline,
    'InvalidDomain.notOnline': notOnline,
    'InvalidDomainName.NoExist': () =>
      'this account has no such zone in AliDNS: check whose access key it is; where the DNS of the name is elsewhere, lead _acme-challenge there to a zone of this account by a CNAME, or use --solver exec with a command for that DNS',
    'InvalidFunctions.Malformed': () =>
      'the product does not know this setting, or a value in it: if the console has it, report this with the request id',
    InvalidSecurityToken: newToken,
    NoPermission: grant,
    'NoPermission.SLR': () =>
      'the product lacks its service-linked role in this account: open its console once and let it make the role',
    NoSuchBucket: () => 'check --bucket; the bucket has to exist, it is not created for you',
    PublicEndpointForbidden: () =>
      'accounts of this kind reach their data only through a domain bound to the bucket: use --endpoint https://your.domain --cname-endpoint, or the internal endpoint on a machine in the same region',
    'QuotaExceeded.Record': () =>
      'the zone holds as many records as its edition allows: delete some in the console (DNS, AliDNS), or change the edition',
    RequestTimeTooSkewed: wrongClock,
    SecurityTokenExpired: newToken,
    SignatureDoesNotMatch: wrongSecret,
    TransferAccelerationDisabled: () => 'switch transfer acceleration on for the bucket, or use another --endpoint',
    UserDisable: () => 'the account is disabled or overdue: look at the billing console',
  }).map(([code, hint]) => [code.toLowerCase(), hint]),
)

/** By what stands before the first dot. */
const families: ReadonlyMap<string, Hint> = new Map<string, Hint>([
  ['forbidden', grant],
  ['illegaltimestamp', wrongClock],
  ['incompletesignature', wrongSecret],
  ['invalidaccesskeyid', noSuchKey],
  ['invalidsecuritytoken', newToken],
  ['invalidtimestamp', wrongClock],
])

/** Turns a failure to reach the service at all into an error. */
export const explainSilence = (error: unknown, attempted: Attempted, host: string): CertError => {
  const timedOut = error instanceof Error && error.name === 'TimeoutError'
  const code = systemCode(error)
  if (code === answerTooLarge) return explainLarge(error, attempted, host)
  const why = timedOut ? 'no answer in time' : (code ?? (error instanceof Error ? error.message : String(error)))
  const untrusted = code !== undefined && /CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)/.test(code)
  return new CertError('CLOUD_UNAVAILABLE', `${attempted.doing}: ${host} cannot be reached (${why})`, {
    cause: error,
    passing: !untrusted,
    hint: untrusted
      ? `the certificate that ${host} shows is not trusted here: check the clock and the endpoint; for a private CA set NODE_EXTRA_CA_CERTS`
      : code === 'ENOTFOUND'
        ? `there is no host ${host}: check --region, --bucket and --endpoint, and the name servers of this machine`
        : `check that this machine reaches ${host}`,
  })
}

/** It is reached, and asking again would bring the same. */
const explainLarge = (error: unknown, attempted: Attempted, host: string): CertError =>
  new CertError('CLOUD_UNAVAILABLE', `${attempted.doing}: ${host} answered with more than ${largestAnswer >> 20} MiB`, {
    cause: error,
    passing: false,
    hint: 'that is nothing acme-oss has to do with: check the place, the endpoint, and what lies between',
  })

/** Success that OSS knows nothing of: somebody else has answered in its place. */
export const explainStranger = (attempted: Attempted, host: string): CertError =>
  new CertError(
    'CLOUD_UNAVAILABLE',
    `${attempted.doing}: ${host} answered, but the answer is not one of ${serviceOf(attempted)}`,
    {
      passing: true,
      hint: 'check the endpoint, and what lies between (a proxy, a CDN, a portal)',
    },
  )
