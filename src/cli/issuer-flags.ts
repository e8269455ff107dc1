import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { CertError } from '../errors.js'
import { HttpConnections } from '../http-connections.js'
import { findCa } from '../issuer/ca.js'
import { keyTypes } from '../issuer/certificate-key.js'
import { needsDns } from '../issuer/order-names.js'
import { challengesOf, createSolver, solverNames } from '../solvers/index.js'
import type { SolverSettings } from '../solvers/solver-settings.js'
import type { IssueSettings, KnownCa } from '../state/certificates.js'
import { choice, list, text, toggle, type Values, wholeNumber } from './flag.js'
import { proofFlags } from './proof-flags.js'

/** Where a certificate comes from, and how its names are proven. */
export const issuerFlags = {
  domain: list('a name for the certificate; repeat for more', { alias: 'd', placeholder: 'NAME' }),
  ca: list(
    'the CA: letsencrypt, letsencrypt-staging, zerossl, google, sslcom, or the URL of a directory; repeat it: each is asked when those before it fail [letsencrypt]',
    { placeholder: 'CA' },
  ),
  'ca-timeout': wholeNumber('seconds that a CA may take to decide, before the next one is asked', {
    min: 1,
    max: 86_400,
    fallback: 600,
    placeholder: 'SECONDS',
  }),
  standby: text('a second CA, of which renew keeps a certificate ready in the archive', { placeholder: 'CA' }),
  email: text('where the CA may write to', { placeholder: 'ADDRESS' }),
  'agree-tos': toggle("agree to the CA's terms of service"),
  'eab-kid': text('key id of an account binding, for CAs that ask for one (zerossl, google, sslcom)', {
    placeholder: 'ID',
  }),
  'eab-hmac-key-file': text('file that holds the key of that binding', { placeholder: 'FILE' }),
  challenge: choice('how names are proven', ['http-01', 'dns-01', 'tls-alpn-01']),
  solver: choice('who answers', solverNames),
  'http-port': wholeNumber('port of the standalone solver, and where the bucket solver looks', {
    min: 1,
    max: 65535,
    fallback: 80,
    placeholder: 'PORT',
  }),
  'tls-port': wholeNumber('port of the standalone solver for tls-alpn-01', {
    min: 1,
    max: 65535,
    fallback: 443,
    placeholder: 'PORT',
  }),
  'dns-timeout': wholeNumber('seconds until every name server has to show the TXT records; 0: nobody looks', {
    min: 0,
    max: 86_400,
    fallback: 180,
    placeholder: 'SECONDS',
  }),
  'dns-resolver': proofFlags['dns-resolver'],
  'alidns-endpoint': text('URL of the AliDNS API [https://alidns.aliyuncs.com]', { placeholder: 'URL' }),
  'challenge-bucket': text('the bucket that the names are bound to, for the bucket solver [--bucket]', {
    placeholder: 'BUCKET',
  }),
  'challenge-region': text('its region [--region]', { placeholder: 'REGION' }),
  'challenge-endpoint': text('URL for writing into it [--endpoint]', { placeholder: 'URL' }),
  webroot: text('folder that a web server on port 80 serves, for the webroot solver', { placeholder: 'DIR' }),
  'exec-auth': text('command that puts an answer in place, for the exec solver', { placeholder: 'COMMAND' }),
  'exec-cleanup': text('command that takes it away again', { placeholder: 'COMMAND' }),
  'key-type': choice('kind of key [ec256]', keyTypes),
  'reuse-key': toggle('keep the private key when the certificate is renewed'),
  profile: text('the kind of certificate, where the CA has several, such as tlsserver or shortlived', {
    placeholder: 'NAME',
  }),
  'preferred-chain': text('common name of the root that the chain is to lead to, where the CA has several', {
    placeholder: 'NAME',
  }),
  'ca-bundle': text("PEM file of the authorities that the CA's own server is trusted by", { placeholder: 'FILE' }),
  'force-renewal': toggle('order a new certificate although the stored one is not due'),
}

export type IssuerValues = Values<typeof issuerFlags>

/** @throws CertError WILDCARD_NEEDS_DNS, USAGE */
export const solverSettings = (values: IssuerValues, names: readonly string[]): SolverSettings => {
  const solver =
    values.solver ??
    (values.webroot !== undefined
      ? 'webroot'
      : values['exec-auth'] !== undefined
        ? 'exec'
        : values['challenge-bucket'] !== undefined
          ? 'bucket'
          : 'standalone')
  const byDns = challengesOf(solver).includes('dns-01')
  const challenge = values.challenge ?? (needsDns(names) && byDns ? 'dns-01' : (challengesOf(solver)[0] ?? 'http-01'))
  if (needsDns(names) && challenge !== 'dns-01') {
    throw new CertError(
      'WILDCARD_NEEDS_DNS',
      `${names.find((name) => name.startsWith('*.'))} can be proven by DNS alone`,
      {
        hint: 'add a solver that can set TXT records: --solver alidns, or --challenge dns-01 --solver exec --exec-auth COMMAND',
      },
    )
  }
  const address = names.find((name) => isIP(name) !== 0)
  if (address !== undefined && challenge === 'dns-01') {
    throw new CertError('USAGE', `${address} cannot be proven by DNS: it is an address and no name`, {
      hint: 'an address is proven by http-01 or tls-alpn-01, and so goes into another certificate than a wildcard',
    })
  }
  return {
    solver,
    challenge,
    ...(solver === 'standalone' &&
      (challenge === 'tls-alpn-01' ? { tlsPort: values['tls-port'] } : { httpPort: values['http-port'] })),
    ...(solver === 'bucket' && {
      httpPort: values['http-port'],
      tlsPort: values['tls-port'],
      dnsResolver: values['dns-resolver'],
      challengeBucket: values['challenge-bucket'],
      challengeRegion: values['challenge-region'],
      challengeEndpoint: values['challenge-endpoint'],
    }),
    ...(challenge === 'dns-01' && { dnsTimeout: values['dns-timeout'], dnsResolver: values['dns-resolver'] }),
    ...(solver === 'alidns' && { alidnsEndpoint: values['alidns-endpoint'] }),
    // Absolute, since it is kept for renewals, which may stand somewhere else.
    webroot: values.webroot && resolve(values.webroot),
    execAuth: values['exec-auth'],
    execCleanup: values['exec-cleanup'],
  }
}

/** What is wrong with a solver, found out without reaching for anything. @throws CertError USAGE */
export const requireSolver = (settings: SolverSettings): void => {
  const connections = new HttpConnections()
  const credentials = () => Promise.reject(new CertError('INTERNAL', 'nothing is reached for here'))
  try {
    createSolver(settings, { environment: {}, connections, credentials, timeout: 1, now: () => new Date(0) })
  } finally {
    connections.close()
  }
}

/** @throws CertError USAGE */
export const requireEmail = (email: string | undefined): string | undefined => {
  if (email !== undefined && !/^[^@\s,?&]+@[^@\s,?&]+\.[^@\s.,?&]+$/.test(email)) {
    throw new CertError('USAGE', `"${email}" is not an e-mail address`, { hint: 'such as --email ops@example.com' })
  }
  return email
}

/**
 * All that an order takes, as it is kept for renewals.
 * @param bindings what the configuration has, by the name of the CA
 * @throws CertError WILDCARD_NEEDS_DNS, USAGE
 */
export const issueSettings = (
  values: IssuerValues,
  names: readonly string[],
  bindings: IssueSettings['eab'] = {},
): IssueSettings => {
  const ca = [...new Set(values.ca.length === 0 ? [defaultCa] : values.ca)].map(knownCa)
  const standby = values.standby === undefined ? undefined : knownCa(values.standby)
  if (ca.some(({ directory }) => directory === standby?.directory)) {
    throw new CertError('USAGE', `${standby?.name} cannot stand by for itself`, {
      hint: 'name a CA as --standby that is not among those of --ca, such as --standby zerossl',
    })
  }
  return {
    ca,
    email: requireEmail(values.email),
    agreeTos: values['agree-tos'],
    keyType: values['key-type'] ?? 'ec256',
    reuseKey: values['reuse-key'],
    profile: values.profile,
    preferredChain: values['preferred-chain'],
    caTimeout: values['ca-timeout'],
    solver: { ...solverSettings(values, names) },
    // Absolute, since it is kept for renewals, which may stand somewhere else.
    caBundle: values['ca-bundle'] && resolve(values['ca-bundle']),
    eab: accountBindings(values, standby === undefined ? ca : [...ca, standby], bindings),
    standby,
  }
}

/** Flags beat the file; they are for the CAs that may ask for a binding. */
const accountBindings = (
  values: IssuerValues,
  cas: readonly KnownCa[],
  bindings: IssueSettings['eab'],
): IssueSettings['eab'] => {
  const kid = values['eab-kid']
  const file = values['eab-hmac-key-file']
  if ((kid === undefined) !== (file === undefined)) {
    throw new CertError('USAGE', 'an account binding has two parts', {
      hint: 'add --eab-kid as well as --eab-hmac-key-file',
    })
  }
  const given = kid !== undefined && file !== undefined ? { kid, hmacKeyFile: resolve(file) } : undefined
  // In the file a CA stands as people call it.
  const known = Object.entries(bindings).map(([ca, binding]) => [findCa(ca).directory, binding] as const)
  return Object.fromEntries(
    cas.flatMap(({ name, directory }) => {
      const own = known.find(([one]) => one === directory)?.[1]
      const binding = name.startsWith('letsencrypt') ? own : (given ?? own)
      return binding === undefined ? [] : [[directory, binding]]
    }),
  )
}

const knownCa = (ca: string): KnownCa => {
  const { name, directory } = findCa(ca)
  return { name, directory }
}

export const defaultCa = 'letsencrypt'
