import { element } from '../aliyun/oss-client.js'
import { CertError } from '../errors.js'
import type { Seen } from './ca-look.js'
import type { Challenge } from './solver.js'

/** What was put where, as far as it says something about what is seen. */
export interface Placed {
  readonly bucket: string
  /** Why the answer could not be made readable by itself, where it could not. */
  readonly aclRefused: string | undefined
}

/**
 * What a look that stands for the CA's says: the CA will find the answer, nobody can tell from here, or it will not, and
 * why.
 */
export const verdictOn = (seen: Seen, challenge: Challenge, placed: Placed): 'right' | 'unknown' | CertError => {
  const { domain } = challenge
  if (seen.kind === 'silence') {
    // Whoever redirects answers from here; so would the host itself, if it served what it sends others to.
    return seen.redirected && seen.url.hostname === hostOf(domain) ? unserved(domain, seen.url, seen.why) : 'unknown'
  }
  if (seen.kind === 'dead end') {
    return failure(`${domain} redirects ${seen.why}: no CA follows`, {
      hint: `let the redirect leave out ${wellKnown}, or ${byDns}`,
    })
  }
  // CAs allow for white space at the end.
  if (seen.status === 200 && seen.body.trimEnd() === challenge.value) return 'right'
  const code = refusalCode(seen.body)
  const cause = code === undefined ? undefined : causes[code]
  if (cause !== undefined) return cause(domain, placed, seen)
  const where = seen.redirected ? `${domain}, which redirects to ${seen.url.origin}` : domain
  if (code !== undefined) {
    return failure(`${where}: instead of the answer OSS says ${code} (HTTP ${seen.status})`, {
      hint: `look at ${placed.bucket} in the OSS console, or ${byDns}`,
      code,
    })
  }
  const server =
    seen.server === undefined ? 'a server that does not say which' : `a server called ${seen.server.slice(0, 60)}`
  const what = seen.status === 200 ? 'another page' : `HTTP ${seen.status}`
  return failure(`${where}: instead of the answer there is ${what}, from ${server}`, {
    hint: `its DNS has to lead to ${placed.bucket}, or to CDN with that bucket behind it; where it is right to lead somewhere else, answer there (--solver webroot or standalone), or ${byDns}`,
  })
}

const wellKnown = '/.well-known/acme-challenge/'

const byDns = 'prove the name by DNS instead: --challenge dns-01 --solver alidns'

const hostOf = (domain: string): string => (domain.includes(':') ? `[${domain}]` : domain)

const failure = (message: string, { hint, code }: { readonly hint: string; readonly code?: string }): CertError =>
  new CertError('SOLVER_FAILED', message, { hint, vendor: code === undefined ? undefined : { code } })

const unserved = (domain: string, url: URL, why: string): CertError =>
  failure(`${domain} redirects plain HTTP to ${url.origin}, where nobody answers (${why.slice(0, 100)})`, {
    hint: `a CA follows the redirect and fails as well: switch it off until the certificate is there (CDN or DCDN console, the domain, HTTPS, Force Redirect: Default), or ${byDns}`,
  })

/** The code in an error of OSS, which CDN hands on. */
const refusalCode = (body: string): string | undefined =>
  /^\s*(<\?xml[^>]*>)?\s*<Error[\s>]/.test(body) ? element(body, 'Code') : undefined

type Cause = (domain: string, placed: Placed, seen: { readonly url: URL; readonly body: string }) => CertError

const denied: Cause = (domain, { bucket, aclRefused }, { url, body }) => {
  const message = element(body, 'Message')?.slice(0, 200).replace(/\.$/, '') ?? ''
  const about = `${bucket}${wellKnown}*`
  const policy = `a policy of the bucket denies ${url.protocol === 'http:' ? 'plain HTTP (acs:SecureTransport), which CAs begin with' : 'it'}: take ${about} out of what it denies`
  const hints =
    aclRefused !== undefined
      ? `it could not be made readable (${aclRefused}): grant oss:PutObjectAcl on acs:oss:*:*:${about} (acme-oss policy prints it), and see that the bucket does not block public access`
      : /policy/i.test(message)
        ? policy
        : // A private bucket does not say whether it has the object at all.
          `one of three: ${policy}; the bucket blocks public access: switch that off; or ${domain} leads to another bucket: name that one with --challenge-bucket`
  return failure(`${domain}: OSS lets nobody read the answer: AccessDenied${message === '' ? '' : ` (${message})`}`, {
    code: 'AccessDenied',
    hint: `${hints}; or ${byDns}`,
  })
}

const elsewhere: Cause = (domain, { bucket }, { body }) => {
  const code = refusalCode(body) ?? ''
  return failure(`${domain} leads to another bucket than ${bucket}, which has no answer (${code})`, {
    code,
    hint: `name the bucket that it is bound to, or that is behind its CDN, with --challenge-bucket; or bind it to ${bucket} (OSS console, the bucket, Domain Names)`,
  })
}

const unbound: Cause = (domain, { bucket }, { body }) => {
  const code = refusalCode(body) ?? ''
  return failure(`${domain} leads to OSS, but is bound to no bucket (${code})`, {
    code,
    hint: `bind it to ${bucket} (OSS console, the bucket, Domain Names), or ${byDns}`,
  })
}

const causes: Readonly<Record<string, Cause | undefined>> = {
  AccessDenied: denied,
  NoSuchKey: elsewhere,
  NoSuchBucket: elsewhere,
  NonStandardHostForbidden: unbound,
}
