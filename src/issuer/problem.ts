import { CertError, systemCode } from '../errors.js'
import { retryAfter } from '../retry-after.js'
import type { CaAnswer } from './ca-connection.js'

/** A CA's own words on what went wrong (RFC 8555, 6.7; RFC 9457). */
export interface Problem {
  /** Without `urn:ietf:params:acme:error:`. */
  readonly type: string
  readonly detail: string
  readonly subproblems: readonly { readonly type: string; readonly detail: string; readonly name: string | undefined }[]
}

const prefix = 'urn:ietf:params:acme:error:'

/** Reads a problem document as far as it is one. */
export const readProblem = (value: unknown): Problem => {
  const document = asObject(value)
  const subproblems = Array.isArray(document['subproblems']) ? document['subproblems'].map(asObject) : []
  return {
    type: text(document['type']).replace(prefix, ''),
    detail: text(document['detail']),
    subproblems: subproblems.map((one) => ({
      type: text(one['type']).replace(prefix, ''),
      detail: text(one['detail']),
      name: text(asObject(one['identifier'])['value']) || undefined,
    })),
  }
}

const asObject = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}

const text = (value: unknown): string => (typeof value === 'string' ? value : '')

/** Problem types in which nothing was decided yet; everything else stays refused until something is changed. */
const passingTypes = new Set(['rateLimited', 'serverInternal', 'badNonce', 'orderNotReady'])

/**
 * What a CA answered instead of doing what it was asked.
 * @param doing a gerund phrase: `placing an order for example.com`
 */
export const explainProblem = (answer: CaAnswer, doing: string, ca: string): CertError => {
  const problem = readProblem(parseJson(answer.body))
  const type = problem.type || `HTTP ${answer.status}`
  const passing = answer.status >= 500 || answer.status === 429 || passingTypes.has(problem.type)
  return new CertError(
    passing ? 'CA_UNAVAILABLE' : 'CA_REFUSED',
    `${doing}: ${ca} answered ${type}${details(problem)}`,
    {
      hint: hintFor(problem, answer.status, ca),
      vendor: { code: type },
      passing,
      retryAfter: retryAfter(answer.headers),
    },
  )
}

export const parseJson = (body: string): unknown => {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

const details = ({ detail, subproblems }: Problem): string => {
  const parts = [detail, ...subproblems.map((one) => `${one.name === undefined ? '' : `${one.name}: `}${one.detail}`)]
  const line = parts.filter(Boolean).join('; ').replace(/\s+/g, ' ').slice(0, 600)
  return line === '' ? '' : ` (${line})`
}

const hintFor = (problem: Problem, status: number, ca: string): string => {
  const hint = hints[problem.type]
  if (hint !== undefined) return hint
  if (status >= 500) return `${ca} has a problem of its own; try again later, or use another --ca`
  return 'the words in parentheses are the CA’s own; nothing was issued'
}

const hints: Readonly<Record<string, string>> = {
  accountDoesNotExist:
    'the CA does not know the account any more; run the command again with --agree-tos to register anew',
  badCSR: 'the CA does not take this kind of key; try --key-type ec256 or rsa2048',
  badPublicKey: 'the CA does not take this kind of key; try --key-type ec256 or rsa2048',
  caa: 'a CAA record of the domain forbids this CA to issue: change the record, or use another --ca',
  externalAccountRequired:
    'this CA wants an account binding: get one on its web site and add --eab-kid and --eab-hmac-key-file',
  invalidContact: 'check --email: the CA does not take that address',
  rateLimited:
    'the CA limits how much it issues; the words in parentheses say until when. Deployments are not limited: what was issued before can be deployed at any time',
  rejectedIdentifier: 'the CA does not issue for this name: check its spelling, and that it is a public domain',
  serverInternal: 'the CA has a problem of its own; try again later, or use another --ca',
  unauthorized: 'the CA does not accept this account for what was asked',
  unsupportedContact: 'check --email: the CA does not take that address',
  userActionRequired: 'the CA’s terms have changed: read them and run the command again with --agree-tos',
}

/** A failure to reach the CA at all. */
export const explainSilence = (error: unknown, doing: string, ca: string): CertError => {
  const timedOut = error instanceof Error && error.name === 'TimeoutError'
  const code = systemCode(error)
  const why = timedOut ? 'no answer in time' : (code ?? (error instanceof Error ? error.message : String(error)))
  const untrusted = code !== undefined && /CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)/.test(code)
  return new CertError('CA_UNAVAILABLE', `${doing}: ${ca} cannot be reached (${why})`, {
    cause: error,
    passing: !untrusted,
    hint: untrusted
      ? 'the certificate of the CA’s own server is not trusted here: check --ca and the clock; for a private CA give --ca-bundle'
      : 'check --ca and that this machine reaches it; the same command again goes on from there',
  })
}

/** Why the CA could not convince itself that a name is ours. */
export const explainChallenge = (name: string, type: string, problem: Problem): CertError =>
  new CertError(
    'CHALLENGE_FAILED',
    `${name}: the ${type} challenge failed: ${problem.type || 'no reason given'}${details(problem)}`,
    {
      vendor: { code: problem.type || 'unknown' },
      hint: challengeHint(name, type, problem.type),
    },
  )

const challengeHint = (name: string, type: string, problem: string): string => {
  if (problem === 'dns') return `the CA finds no address for ${name}: check its A and AAAA records`
  if (problem === 'caa') return hints['caa'] as string
  if (type === 'dns-01') {
    return `the CA did not find the TXT record at _acme-challenge.${name}: the command that sets it must end only when the name servers answer with it`
  }
  const port = type === 'tls-alpn-01' ? 443 : 80
  if (problem === 'connection') {
    return `the CA could not connect to ${name} on port ${port}: its DNS must lead to this machine (IPv6 as well, where there is an AAAA record), and no firewall may stand in the way`
  }
  return `the CA asked ${name} on port ${port} and got something else than the answer: check that its DNS leads to this machine, and that nothing before it (CDN, proxy, ${port === 80 ? 'redirect' : 'another TLS server'}) answers instead`
}
