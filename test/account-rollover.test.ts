// A new key for an account: whatever happens between us and the CA, and to this process, the account is not lost.
import { createPublicKey, type KeyObject } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Account, AccountStore } from '../src/issuer/account.js'
import { type OpenSession, rollOver, settleRollover } from '../src/issuer/account-rollover.js'
import { AcmeSession } from '../src/issuer/acme-session.js'
import { findCa } from '../src/issuer/ca.js'
import { CaConnection } from '../src/issuer/ca-connection.js'
import { CaSessions } from '../src/issuer/ca-sessions.js'
import { StateFolder } from '../src/state/state-folder.js'
import { makeFolder } from './issue-command.js'
import { type RunResult, runCommand } from './run-command.js'
import { thumbprint } from './stub-ca/jws.js'
import { problem, type StubCa, startStubCa } from './stub-ca.js'

const email = 'ops@example.com'

const openSessions = (t: Test, ca: StubCa): OpenSession => {
  const connection = new CaConnection(undefined)
  t.teardown(() => connection.close())
  return (accountKey, accountUrl) =>
    new AcmeSession({
      directoryUrl: ca.directoryUrl,
      ca: 'stub',
      connection,
      accountKey,
      accountUrl,
      externalAccount: undefined,
      directory: undefined,
      timeout: 5000,
      signal: new AbortController().signal,
    })
}

/** A CA, and an account at it that is on disk. */
const registered = async (t: Test) => {
  const ca = await startStubCa(t)
  const root = join(makeFolder(t), 'state')
  const state = await StateFolder.open(root)
  const store = await AccountStore.open(state, findCa(ca.directoryUrl), email)
  const { key } = await store.create()
  const open = openSessions(t, ca)
  const session = open(key, undefined)
  await store.keepUrl(await session.createAccount([`mailto:${email}`]))
  session.close()
  const read = async (): Promise<Account> => {
    const account = await store.read()
    if (account === undefined) throw new TypeError('the account is gone')
    return account
  }
  return { ca, root, store, open, read }
}

const knows = (ca: StubCa, key: KeyObject): boolean => {
  const print = thumbprint(createPublicKey(key).export({ format: 'jwk' }))
  return ca.accounts.some((account) => account.status === 'valid' && account.thumbprint === print)
}

/** Is what lies on disk one key, and the one that the CA knows? */
const isWhole = async (t: Test, ca: StubCa, read: () => Promise<Account>, what: string): Promise<KeyObject> => {
  const { key, nextKey } = await read()
  t.equal(nextKey, undefined, `${what}: one key is left`)
  t.ok(knows(ca, key), `${what}: it is the one that the CA knows`)
  return key
}

t.test('killed at any request, and gone on', async (t) => {
  const { ca, root, read } = await registered(t)
  const run = (action: string, fatal?: number): Promise<RunResult> =>
    runCommand(['account', action, '--ca', ca.directoryUrl, '--state-dir', root, '--json'], {
      onStart: (child) => {
        if (fatal === undefined) return
        const kill = async (): Promise<'hang'> => {
          const ended = once(child, 'exit')
          child.kill('SIGKILL')
          await ended
          return 'hang'
        }
        // Dead before the answer, which the CA has acted upon, leaves it.
        ca.onRequest(fatal, kill, { when: 'after' })
      },
    })
  const outcomes: string[] = []
  for (let fatal = 1; ; fatal++) {
    const before = (await read()).key
    const { code, signal } = await run('rollover', fatal)
    if (signal === null) {
      t.equal(code, 0, 'with no request left to die at')
      t.notOk((await isWhole(t, ca, read, 'undisturbed')).equals(before), 'it is a new one')
      break
    }
    const { nextKey } = await read()
    const shown = await run('show')
    t.equal(shown.code, 0, `show after a death at request ${fatal}`)
    t.match(JSON.parse(shown.stdout), { ok: true, accounts: [{ status: 'valid', account: email }] })
    const after = await isWhole(t, ca, read, `after a death at request ${fatal}`)
    outcomes.push(after.equals(before) ? 'old' : 'new')
    if (!after.equals(before) && nextKey !== undefined) t.ok(after.equals(nextKey), 'the second key took its place')
  }
  // At the directory, at the nonce, and at the change itself.
  t.same(outcomes, ['old', 'old', 'new'])
})

t.test('the answer is lost', async (t) => {
  for (const [fault, kept] of [
    ['kill', 'old'],
    ['kill-after', 'new'],
  ] as const) {
    const { ca, store, open, read } = await registered(t)
    const before = await read()
    ca.fail('keyChange', fault)
    await t.rejects(rollOver(store, before, open), { code: 'CA_UNAVAILABLE' }, fault)
    const { nextKey } = await read()
    t.ok(nextKey, 'both keys are kept')
    t.equal(ca.count('keyChange'), 1, 'what was sent is not sent again')
    const settled = await settleRollover(store, await read(), open)
    t.ok(settled.key.equals(kept === 'new' ? (nextKey as KeyObject) : before.key), kept)
    t.equal(settled.url, before.url)
    t.ok((await isWhole(t, ca, read, fault)).equals(settled.key))
    const asked = ca.requests.length
    await settleRollover(store, settled, open)
    t.equal(ca.requests.length, asked, 'with one key nothing is asked')
  }
})

t.test('the CA says no', async (t) => {
  const { ca, store, open, read } = await registered(t)
  const before = await read()
  ca.fail('keyChange', problem(409, 'conflict', 'another account has this key'))
  await t.rejects(rollOver(store, before, open), { code: 'CA_REFUSED', message: /another account has this key/ })
  t.ok((await isWhole(t, ca, read, 'refused')).equals(before.key))

  t.test('or somebody between says it, although the CA did it', async (t) => {
    ca.manners.amend = (reply, kind) => (kind === 'keyChange' ? { status: 404, body: 'not found' } : reply)
    const after = await rollOver(store, before, open)
    t.notOk(after.key.equals(before.key))
    t.ok((await isWhole(t, ca, read, 'done all the same')).equals(after.key))
  })
})

t.test('the next order goes on from where a rollover was interrupted', async (t) => {
  const { ca, root, store, open, read } = await registered(t)
  ca.fail('keyChange', 'kill-after')
  await t.rejects(rollOver(store, await read(), open), { code: 'CA_UNAVAILABLE' })
  const { nextKey } = await read()
  const sessions = new CaSessions({
    state: await StateFolder.open(root),
    timeout: 5000,
    now: () => new Date(),
    signal: new AbortController().signal,
    trace: () => undefined,
  })
  t.teardown(() => sessions.close())
  const access = { email, agreeTos: false, externalAccount: undefined, caBundle: undefined }
  const { session } = await sessions.open({ ca: findCa(ca.directoryUrl), ...access }, 1, () => undefined)
  t.match(await session.newOrder([{ type: 'dns', value: 'example.com' }]), { status: 'pending' })
  t.ok((await isWhole(t, ca, read, 'ordered')).equals(nextKey as KeyObject))
})

t.test('a CA that knows neither key', async (t) => {
  const { ca, store, open, read } = await registered(t)
  const nextKey = await store.createNextKey()
  const before = await read()
  ca.forget()
  const settled = await settleRollover(store, before, open)
  t.ok(settled.key.equals(before.key))
  t.ok((await read()).nextKey?.equals(nextKey), 'both are kept')
})

t.test('killed after the new key had taken its place, before the second file was gone', async (t) => {
  const { ca, store, open, read } = await registered(t)
  const nextKey = await store.createNextKey()
  const session = open((await read()).key, (await read()).url)
  await session.changeKey(nextKey)
  t.match(await session.account(), { status: 'valid' }, 'the session goes on with the new key')
  session.close()
  await store.adoptNextKey(nextKey)
  const asked = ca.requests.length
  await settleRollover(store, { ...(await read()), nextKey }, open)
  t.equal(ca.requests.length, asked, 'nothing needs to be asked')
  t.ok((await isWhole(t, ca, read, 'settled')).equals(nextKey))
})
