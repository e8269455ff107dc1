import { X509Certificate } from 'node:crypto'
import { resolve } from 'node:path'
import { CertError } from '../errors.js'
import { HttpConnections } from '../http-connections.js'
import { findCa } from '../issuer/ca.js'
import { keyTypes } from '../issuer/certificate-key.js'
import { needsDns } from '../issuer/order-names.js'
import { Secret } from '../secret.js'
import { challengesOf, createSolver, type SolverSettings, solverNames } from '../solvers/index.js'
import { readTextFile } from '../sources/files.js'
import { choice, list, text, toggle, type Values, wholeNumber } from './flag.js'
import { proofFlags } from './proof-flags.js'

/** Where a certificate comes from, and how its names are proven. */
export const issuerFlags = {
  domain: list('a name for the certificate; repeat for more', { alias: 'd', placeholder: 'NAME' }),
  ca: text(
    'the CA: letsencrypt, letsencrypt-staging, zerossl, google, sslcom, or the URL of a directory [letsencrypt]',
    {
      placeholder: 'CA',
    },
  ),
  email: text('where the CA may write to', { placeholder: 'ADDRESS' }),
  'agree-tos': toggle("agree to the CA's terms of service"),
  'eab-kid': text('key id of an account binding, for CAs that ask for one', { placeholder: 'ID' }),
  'eab-hmac-key-file': text('file that holds the key of that binding', { placeholder: 'FILE' }),
  challenge: choice('how names are proven', ['http-01', 'dns-01', 'tls-alpn-01']),
  solver: choice('who answers', solverNames),
  'http-port': wholeNumber('port of the standalone solver', { min: 1, max: 65535, fallback: 80, placeholder: 'PORT' }),
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
  'ca-bundle': text("PEM file of the authorities that the CA's own server is trusted by", { placeholder: 'FILE' }),
  'force-renewal': toggle('order a new certificate although the stored one is not due'),
}

export type IssuerValues = Values<typeof issuerFlags>

/** @throws CertError WILDCARD_NEEDS_DNS, USAGE */
export const solverSettings = (values: IssuerValues, names: readonly string[]): SolverSettings => {
  const solver =
    values.solver ??
    (values.webroot !== undefined ? 'webroot' : values['exec-auth'] !== undefined ? 'exec' : 'standalone')
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
  return {
    solver,
    challenge,
    ...(solver === 'standalone' &&
      (challenge === 'tls-alpn-01' ? { tlsPort: values['tls-port'] } : { httpPort: values['http-port'] })),
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

/** @throws CertError USAGE, FILE_UNREADABLE */
export const externalAccount = async (
  values: IssuerValues,
): Promise<{ readonly kid: string; readonly hmacKey: Secret } | undefined> => {
  const kid = values['eab-kid']
  const file = values['eab-hmac-key-file']
  if (kid === undefined && file === undefined) return undefined
  if (kid === undefined || file === undefined) {
    throw new CertError('USAGE', 'an account binding has two parts', {
      hint: 'add --eab-kid as well as --eab-hmac-key-file',
    })
  }
  const hmacKey = (await readTextFile(file)).trim()
  if (!/^[A-Za-z0-9_+/-]{16,}=*$/.test(hmacKey)) {
    throw new CertError('USAGE', `${file} does not hold the key of an account binding`, {
      hint: 'the CA shows it as one line of letters and digits (base64url)',
    })
  }
  return { kid, hmacKey: new Secret(hmacKey) }
}

/** @throws CertError USAGE, FILE_UNREADABLE */
export const caBundle = async (values: IssuerValues): Promise<string | undefined> => {
  const file = values['ca-bundle']
  if (file === undefined) return undefined
  const pem = await readTextFile(file)
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? []
  if (blocks.length === 0 || !blocks.every(isCertificate)) {
    throw new CertError('USAGE', `${file} holds no certificate`, {
      hint: 'give PEM (BEGIN CERTIFICATE) with --ca-bundle',
    })
  }
  return pem
}

const isCertificate = (block: string): boolean => {
  try {
    return new X509Certificate(block).raw.length > 0
  } catch {
    return false
  }
}

export const defaultCa = 'letsencrypt'

export const chosenCa = (values: IssuerValues) => findCa(values.ca ?? defaultCa)
