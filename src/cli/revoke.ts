import type { KeyObject } from 'node:crypto'
import { readPem } from '../certificate/pem.js'
import { isKeyLabel, readPrivateKey } from '../certificate/private-key.js'
import { type Certificate, firstCertificate } from '../certificate/x509.js'
import { CertError } from '../errors.js'
import { type Account, AccountStore, accountLock } from '../issuer/account.js'
import { type OpenSession, settleRollover } from '../issuer/account-rollover.js'
import { type Ca, findCa } from '../issuer/ca.js'
import { type RevocationReason, revocationReasons } from '../issuer/revocation-reason.js'
import { nearest } from '../nearest.js'
import { Secret } from '../secret.js'
import { readTextFile } from '../sources/files.js'
import { readCaBundle } from '../sources/issue-request.js'
import { CertificateStore } from '../state/certificates.js'
import { withLock } from '../state/lock.js'
import { StateFolder } from '../state/state-folder.js'
import { withSessions } from './ca-sessions.js'
import { defineCommand, exitCodes } from './command.js'
import { commonFlags, reachFlags, stateRoot } from './common-flags.js'
import { printable } from './deployment.js'
import { choice, text, type Values } from './flag.js'
import { defaultCa, issuerFlags, requireEmail } from './issuer-flags.js'
import { certificateJson, printJson } from './json.js'
import { Terminal, wantsColor } from './terminal.js'

const flags = {
  fullchain: text('instead of NAME: PEM file of the certificate', { placeholder: 'FILE' }),
  key: text('its private key', { placeholder: 'FILE' }),
  reason: choice('why [unspecified]', revocationReasons),
  by: choice('who says so [the account, else the key]', ['account', 'key']),
  ca: text('with --fullchain: who issued it, as for issue-and-deploy [letsencrypt]', { placeholder: 'CA' }),
  email: text('which account, where there are several', { placeholder: 'ADDRESS' }),
  'ca-bundle': issuerFlags['ca-bundle'],
  ...reachFlags,
  ...commonFlags,
}

export const command = defineCommand({
  name: 'revoke',
  summary:
    'Has a certificate revoked by the CA that issued it. What it is deployed to goes on serving it until a new one is there.',
  flags,
  words: { usage: '[NAME]', most: 1 },
  examples: [
    ['acme-oss revoke example.com --reason keyCompromise', 'the one that issue-and-deploy got last'],
    ['acme-oss revoke --fullchain old.pem --key old.key --by key', 'any other, in the name of its key'],
  ],
  run: async (values, surroundings, { words: [name] }) => {
    const terminal = new Terminal(surroundings, { ...values, color: wantsColor(values['no-color'], surroundings) })
    const state = StateFolder.at(stateRoot(values, surroundings))
    const condemned = await readCondemned(values, state, name)
    const { certificate, ca, key } = condemned
    const bundleFile = values['ca-bundle'] ?? condemned.caBundle
    const bundle = bundleFile === undefined ? undefined : await readCaBundle(bundleFile)
    const store = await accountOf(state, ca, requireEmail(values.email), condemned.email)
    const by = chooseBy(values.by, store, key, ca)
    const { reason = 'unspecified', timeout } = values
    const what = `${certificate.names.map(printable).join(', ')} (serial ${certificate.serial}, valid until ${certificate.notAfter.toISOString().slice(0, 10)})`
    terminal.progress(`revoking ${what} at ${ca.name} in the name of ${by === 'key' ? 'its key' : 'the account'}`)
    const before = await withSessions(ca, { caBundle: bundle, timeout, surroundings, terminal }, (open) =>
      revoke({ certificate, reason, by, key, store, open, state, ca, signal: surroundings.signal }),
    )
    await markRevoked(state, certificate, surroundings.now(), surroundings.signal)
    if (values.json) {
      terminal.result(
        printJson({
          schema: 'acme-oss/1',
          command: 'revoke',
          ok: true,
          certificate: certificateJson({ ...certificate, name: name ?? certificate.names[0] ?? '' }),
          ca: ca.name,
          by,
          reason,
          before,
          warnings: [],
          error: null,
        }),
      )
    } else {
      terminal.result(before ? `${what}: was revoked before` : `${what}: revoked (${reason})`)
      terminal.result(`  it is served until another is deployed: ${nextCommand(certificate, name)}`)
    }
    return exitCodes.done
  },
})

/** What is to be revoked, and what is known of it. */
interface Condemned {
  readonly certificate: Certificate
  readonly ca: Ca
  readonly key: KeyObject | undefined
  /** Of the account, as it was when the certificate was ordered. */
  readonly email: string | undefined
  readonly caBundle: string | undefined
}

const readCondemned = async (
  values: Values<typeof flags>,
  state: StateFolder,
  name: string | undefined,
): Promise<Condemned> => {
  const { fullchain, key } = values
  if ((name === undefined) === (fullchain === undefined)) {
    throw new CertError('USAGE', name === undefined ? 'no certificate is named' : 'two certificates are named', {
      hint: 'acme-oss revoke NAME for one of issue-and-deploy, or --fullchain FILE',
    })
  }
  if (name !== undefined) {
    if (key === undefined) return await readStored(state, name)
    throw new CertError('USAGE', '--key belongs to --fullchain', { hint: 'the key of NAME is known' })
  }
  const file = fullchain as string
  const certificate = firstCertificate(await readTextFile(file))
  if (certificate === undefined || certificate.isAuthority) {
    throw new CertError('CERTIFICATE_MISSING', `${file} does not begin with a certificate of a site`, {
      hint: 'give PEM, the leaf first (fullchain.pem or cert.pem)',
    })
  }
  const ca = findCa(values.ca ?? defaultCa)
  const own = key === undefined ? undefined : readKey(await readTextFile(key), key, certificate)
  return { certificate, ca, key: own, email: undefined, caBundle: undefined }
}

const readStored = async (state: StateFolder, name: string): Promise<Condemned> => {
  const store = new CertificateStore(state, name)
  const record = await store.read()
  if (record?.current === undefined) {
    const near = nearest(name, await state.list(['certificates']))
    throw new CertError('USAGE', `issue-and-deploy has issued nothing under the name ${name}`, {
      hint: near === undefined ? 'give its file with --fullchain' : `did you mean ${near}?`,
    })
  }
  const certificates = await store.readCertificates(record.current)
  const certificate = certificates === undefined ? undefined : firstCertificate(certificates)
  if (certificate === undefined) {
    throw new CertError('STATE_UNUSABLE', `the stored certificate of ${name} cannot be read`, {
      hint: 'give it with --fullchain',
    })
  }
  const { email, caBundle: bundle } = record.issue
  // A certificate that was forgotten has none; the account that ordered it may revoke it all the same.
  const material = await store.readMaterial(record.current)
  const key = material && readKey(material.privateKey.reveal(), 'the stored key', certificate)
  return { certificate, ca: findCa(record.current.directory), key, email, caBundle: bundle }
}

const readKey = (pem: string, where: string, certificate: Certificate): KeyObject => {
  Secret.material(pem)
  const [block] = readPem(pem, isKeyLabel)
  if (block === undefined) {
    throw new CertError('KEY_MISSING', `${where} holds no private key`, { hint: 'give PEM (BEGIN PRIVATE KEY)' })
  }
  const key = readPrivateKey(block)
  if (certificate.hasKey(key)) return key
  throw new CertError('KEY_MISMATCH', `${where} is not the key of that certificate`, {
    hint: 'give the key that lies beside it, or revoke it with --by account',
  })
}

/** The address may have changed since the order; where there is but one account, it is meant whatever its name. */
const accountOf = async (
  state: StateFolder,
  ca: Ca,
  asked: string | undefined,
  recorded: string | undefined,
): Promise<AccountStore | undefined> => {
  for (const email of asked === undefined ? [recorded, undefined] : [asked]) {
    const store = await AccountStore.open(state, ca, email)
    if ((await store.read())?.url !== undefined) return store
  }
  if (asked === undefined) return undefined
  throw new CertError('USAGE', `there is no account of ${asked} at ${ca.name}`, {
    hint: 'acme-oss account show lists them',
  })
}

const chooseBy = (
  asked: 'account' | 'key' | undefined,
  store: AccountStore | undefined,
  key: KeyObject | undefined,
  ca: Ca,
): 'account' | 'key' => {
  const by = asked ?? (store === undefined ? 'key' : 'account')
  if (by === 'account' && store === undefined) {
    throw new CertError('USAGE', `there is no account at ${ca.name} on this machine`, {
      hint: 'revoke it in the name of its key: --by key, with --key FILE',
    })
  }
  if (by === 'key' && key === undefined) {
    throw new CertError(
      'USAGE',
      `its key is missing${asked === undefined ? `, and an account at ${ca.name}, too` : ''}`,
      {
        hint: 'add --key FILE',
      },
    )
  }
  return by
}

interface Revocation {
  readonly certificate: Certificate
  readonly reason: RevocationReason
  readonly by: 'account' | 'key'
  readonly key: KeyObject | undefined
  readonly store: AccountStore | undefined
  readonly open: OpenSession
  readonly state: StateFolder
  readonly ca: Ca
  readonly signal: AbortSignal
}

/** @returns whether it had been revoked before */
const revoke = async (revocation: Revocation): Promise<boolean> => {
  const { certificate, reason, open } = revocation
  const { key, url, by } = await signerOf(revocation)
  const session = open(key, url)
  try {
    await session.revoke(certificate.der, reason, by)
    return false
  } catch (error) {
    if (!(error instanceof CertError)) throw error
    const { code, message, vendor } = error
    if (vendor?.code === 'alreadyRevoked') return true
    if (code !== 'CA_REFUSED' || by !== 'account') throw error
    // Whoever has the key may always revoke, and some CAs take `keyCompromise` from nobody else.
    const hint = `try it in the name of the certificate’s own key: --by key${revocation.key === undefined ? ' --key FILE' : ''}`
    throw new CertError(code, message, { cause: error, vendor, hint })
  } finally {
    session.close()
  }
}

const signerOf = async ({ by, key, store, open, state, ca, signal }: Revocation) => {
  if (by === 'key' && key !== undefined) return { key, url: undefined, by: { key } }
  const account = await store?.read()
  if (store === undefined || account === undefined) {
    throw new CertError('USAGE', `there is no account at ${ca.name} any more`, { hint: 'add --by key' })
  }
  const settle = async (): Promise<Account> => settleRollover(store, (await store.read()) ?? account, open)
  const settled = account.nextKey === undefined ? account : await withLock(state, accountLock(ca), { signal }, settle)
  return { key: settled.key, url: settled.url, by: 'account' as const }
}

/** Wherever it is in use: no deployment is to be given it again. */
const markRevoked = async (
  state: StateFolder,
  { fingerprint }: Certificate,
  at: Date,
  signal: AbortSignal,
): Promise<void> => {
  const id = fingerprint.sha256.slice(0, 12)
  for (const name of await state.listFolders(['certificates'])) {
    const store = new CertificateStore(state, name)
    if ((await store.read())?.current?.id !== id) continue
    await withLock(state, `issue ${name}`, { signal }, () => store.markRevoked(id, at))
  }
}

const nextCommand = ({ names }: Certificate, name: string | undefined): string => {
  const words = names.flatMap((one) => ['-d', one.includes('*') ? `'${one}'` : one])
  const filed = name === undefined || name === names[0] ? [] : ['--name', printable(name)]
  return ['acme-oss issue-and-deploy', ...words, ...filed, '--force-renewal', '…'].join(' ')
}
