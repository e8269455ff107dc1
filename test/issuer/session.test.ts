// What a session asks a CA, and what it makes of the answers; and what is asked without any account.
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { AccountStore } from '../../src/issuer/account.js'
import { AcmeSession } from '../../src/issuer/acme-session.js'
import { findCa } from '../../src/issuer/ca.js'
import { CaConnection } from '../../src/issuer/ca-connection.js'
import { CaExchange } from '../../src/issuer/ca-exchange.js'
import { readDirectory } from '../../src/issuer/protocol.js'
import { askRenewalInfo } from '../../src/issuer/renewal-info.js'
import { reasonCode } from '../../src/issuer/revocation-reason.js'
import { StateFolder } from '../../src/state/state-folder.js'
import { makeFolder } from '../issue-command.js'
import { generateKey } from '../mint.js'
import { problem, startStubCa } from '../stub-ca.js'

const withoutAccount = (t: Test, directoryUrl: string) => {
  const connection = new CaConnection(undefined)
  t.teardown(() => connection.close())
  const signal = new AbortController().signal
  return { directoryUrl, ca: 'stub', connection, directory: undefined, timeout: 5000, signal }
}

const openSession = (t: Test, directoryUrl: string): AcmeSession => {
  const account = { accountKey: generateKey('ec256'), accountUrl: undefined, externalAccount: undefined }
  const session = new AcmeSession({ ...withoutAccount(t, directoryUrl), ...account })
  t.teardown(() => session.close())
  return session
}

t.test('a session', async (t) => {
  const ca = await startStubCa(t)
  const session = openSession(t, ca.directoryUrl)
  const identifiers = [{ type: 'dns', value: 'example.com' }] as const
  const lastPayload = () => ca.requests.filter(({ kind }) => kind === 'newOrder').at(-1)?.payload

  t.equal(await session.findAccount(), undefined, 'there is no account')
  await t.rejects(session.account(), { code: 'CA_REFUSED', hint: /--agree-tos/ })
  await t.rejects(session.changeKey(generateKey('ec256')), { code: 'CA_REFUSED', hint: /--agree-tos/ })
  const url = await session.createAccount(['mailto:a@example.com'])
  t.equal(await session.findAccount(), url, 'and now there is one')
  t.match(ca.requests.at(-1)?.payload, { onlyReturnExisting: true })

  await t.test('orders', async (t) => {
    ca.manners.amend = (reply, kind) =>
      kind === 'newOrder' ? { ...reply, body: { ...(reply.body as object), expires: '2030-01-02T03:04:05Z' } } : reply
    const order = await session.newOrder(identifiers)
    t.same(lastPayload(), { identifiers }, 'nothing but the names')
    t.match(order, { identifiers, expires: new Date('2030-01-02T03:04:05Z'), status: 'pending' })
    ca.manners.amend = (reply) => reply
    const other = await session.newOrder(identifiers, { profile: 'shortlived', replaces: 'aYhb.AIdl' })
    t.same(lastPayload(), { identifiers, profile: 'shortlived', replaces: 'aYhb.AIdl' })
    t.equal(other.expires, undefined)
  })

  await t.test('a profile that the CA does not have', async (t) => {
    ca.fail('newOrder', problem(400, 'invalidProfile', 'no such profile'))
    await t.rejects(session.newOrder(identifiers, { profile: 'long' }), {
      code: 'CA_REFUSED',
      hint: /^stub offers no profiles/,
    })
    ca.manners.amend = (reply, kind) =>
      kind === 'directory'
        ? { ...reply, body: { ...(reply.body as object), meta: { profiles: { tls: 'for sites' } } } }
        : reply
    const informed = openSession(t, ca.directoryUrl)
    await informed.createAccount([])
    ca.fail('newOrder', problem(400, 'invalidProfile', 'no such profile'))
    await t.rejects(informed.newOrder(identifiers, { profile: 'long' }), {
      code: 'CA_REFUSED',
      hint: 'stub offers tls: choose with --profile, or leave it out',
      vendor: { code: 'invalidProfile' },
    })
    ca.manners.amend = (reply) => reply
  })

  await t.test('chains', async (t) => {
    const { origin } = new URL(ca.directoryUrl)
    const certificate = `${origin}/0/certificate/0`
    const headers = { link: `<${origin}/dir>;rel="index", </alternate/1>;rel="alternate"` }
    ca.fail('certificate', { status: 200, headers, body: 'PEM' })
    t.same(await session.certificate(certificate), { pem: 'PEM', alternates: [`${origin}/alternate/1`] })
    ca.fail('certificate', { status: 200, body: 'OTHER PEM' })
    t.equal(await session.alternate(certificate), 'OTHER PEM')
  })

  await t.test('the account', async (t) => {
    t.same(await session.account(), { status: 'valid', contact: [], orders: undefined })
    const updated = await session.updateAccount({ contact: ['mailto:b@example.com'] })
    t.same(updated.contact, ['mailto:b@example.com'])
    ca.fail('newAccount', { status: 200, body: '<html>' })
    await t.rejects(session.account(), { code: 'CA_REFUSED', message: /gave no account/ })
  })

  await t.test('what the CA does not offer', async (t) => {
    const certificate = Buffer.from('certificate')
    await t.rejects(session.revoke(certificate, 'superseded', 'account'), {
      code: 'CA_REFUSED',
      message: 'revoking the certificate: stub does not offer it',
      hint: /names no revokeCert/,
    })
    t.equal(await session.offersRenewalInfo(), false)
    await t.rejects(session.renewalInfo('a.b'), { code: 'CA_REFUSED', message: /names no renewalInfo/ })
  })
})

t.test('reasons, as they are numbered', async (t) => {
  t.same(
    (['unspecified', 'keyCompromise', 'affiliationChanged', 'superseded', 'cessationOfOperation'] as const).map(
      reasonCode,
    ),
    [undefined, 1, 3, 4, 5],
  )
})

t.test('when to renew, asked without an account', async (t) => {
  const window = { start: '2030-01-02T00:00:00Z', end: '2030-01-04T00:00:00+08:00' }
  const good = { suggestedWindow: window, explanationURL: 'https://ca.example/why' }
  let reply: { status: number; headers?: Readonly<Record<string, string>>; body: string } = { status: 200, body: '' }
  const paths: string[] = []
  const server: Server = createServer((request, response) => {
    paths.push(`${request.method} ${request.url}`)
    const { origin } = new URL(`http://${request.headers.host}`)
    const place = (name: string) => `${origin}/${name}`
    const names = ['newNonce', 'newAccount', 'newOrder', 'renewalInfo']
    if (request.url === '/dir') response.end(JSON.stringify(Object.fromEntries(names.map((one) => [one, place(one)]))))
    else response.writeHead(reply.status, reply.headers).end(reply.body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  const exchange = new CaExchange(withoutAccount(t, `http://127.0.0.1:${port}/dir`))
  const ask = () => askRenewalInfo(exchange, 'aYhb.AIdl')

  await t.test('a window', async (t) => {
    reply = { status: 200, headers: { 'retry-after': '21600' }, body: JSON.stringify(good) }
    t.same(await ask(), {
      start: new Date('2030-01-02T00:00:00Z'),
      end: new Date('2030-01-03T16:00:00Z'),
      explanation: 'https://ca.example/why',
      retryAfter: 21_600_000,
    })
    t.same(paths, ['GET /dir', 'GET /renewalInfo/aYhb.AIdl'])
    reply = { status: 200, body: JSON.stringify({ suggestedWindow: window, explanationURL: 'javascript:alert(1)' }) }
    t.match(await ask(), { explanation: undefined, retryAfter: undefined })
  })

  await t.test('what is none', async (t) => {
    const bad: Readonly<Record<string, unknown>> = {
      'ends before it begins': { start: window.end, end: window.start },
      'has no length': { start: window.start, end: window.start },
      'has no end': { start: window.start },
      'has dates that are none': { start: '2030-01-02T00:00:00Z', end: '2030-13-02T00:00:00Z' },
      'has dates as nobody writes them': { start: '1', end: '2' },
      'has numbers': { start: 1, end: 2 },
      'is a text': 'soon',
      'is null': null,
    }
    for (const [what, suggestedWindow] of Object.entries(bad)) {
      reply = { status: 200, body: JSON.stringify({ suggestedWindow }) }
      await t.rejects(ask(), { code: 'CA_REFUSED', passing: false, message: /asking when to renew: stub gave / }, what)
    }
    for (const body of ['<html>soon</html>', '', '[]', 'null']) {
      reply = { status: 200, body }
      await t.rejects(ask(), { code: 'CA_REFUSED', message: /no window with two dates/ }, body)
    }
  })

  await t.test('what is refused is asked once', async (t) => {
    const before = paths.length
    reply = { status: 404, body: '{}' }
    await t.rejects(ask(), { code: 'CA_REFUSED', passing: false, message: /HTTP 404/ })
    reply = { status: 429, headers: { 'retry-after': '60' }, body: '{}' }
    await t.rejects(ask(), { code: 'CA_UNAVAILABLE', passing: true, retryAfter: 60_000 })
    reply = { status: 503, body: 'busy' }
    await t.rejects(ask(), { code: 'CA_UNAVAILABLE', passing: true, retryAfter: undefined })
    t.equal(paths.length, before + 3)
  })
})

t.test('what is kept of a directory', async (t) => {
  const urls = { newNonce: 'https://ca/n', newAccount: 'https://ca/a', newOrder: 'https://ca/o' }
  t.match(readDirectory(urls), { ...urls, renewalInfo: undefined, revokeCert: undefined, keyChange: undefined })
  const more = { revokeCert: 'https://ca/r', keyChange: 'https://ca/k', renewalInfo: 'https://ca/i' }
  const meta = { termsOfService: 'https://ca/t', externalAccountRequired: true, profiles: { tls: 'for sites' } }
  t.same(readDirectory({ ...urls, ...more, meta, something: 'else' }), { ...urls, ...more, meta })
  for (const none of [undefined, null, 'text', {}, { ...urls, newOrder: 'nowhere' }, { ...urls, newNonce: 1 }]) {
    t.equal(readDirectory(none), undefined)
  }

  await t.test('of one that an earlier version left', async (t) => {
    const state = await StateFolder.open(join(makeFolder(t), 'state'))
    const now = new Date('2030-01-01T12:00:00Z')
    const store = await AccountStore.open(state, findCa('https://ca/dir'), undefined)
    const keep = (directory: unknown, fetchedAt: string) =>
      state.write(['accounts', 'ca/dir', 'directory.json'], JSON.stringify({ fetchedAt, directory }))
    await keep(urls, '2030-01-01T00:00:00Z')
    t.match(await store.readDirectory(now), urls)
    await keep({ newNonce: 'https://ca/n' }, '2030-01-01T00:00:00Z')
    t.equal(await store.readDirectory(now), undefined, 'half of one')
    await keep(urls, '2029-12-31T11:59:59Z')
    t.equal(await store.readDirectory(now), undefined, 'an old one')
  })
})

t.test('accounts on disk', async (t) => {
  const state = await StateFolder.open(join(makeFolder(t), 'state'))
  const letsEncrypt = findCa('letsencrypt')
  const open = (ca: string, email?: string) => AccountStore.open(state, findCa(ca), email)
  for (const [ca, email] of [
    ['letsencrypt', 'a@example.com'],
    ['letsencrypt', 'b@example.com'],
    ['https://[2001:db8::1]:14000/dir', undefined],
  ] as const) {
    const store = await open(ca, email)
    await store.create()
    await store.keepUrl(`${store.ca.directory}/account/1`)
  }
  await state.write(['accounts', 'no url', 'x@example.com', 'key.pem'], 'strange')
  await state.write(['accounts', 'ca.example', 'without key', 'account.json'], '{}')
  const listed = async (ca?: string) =>
    (await AccountStore.all(state, ca === undefined ? undefined : findCa(ca))).map((one) => [one.ca.name, one.name])
  t.same(await listed(), [
    ['[2001:db8::1]:14000', 'default'],
    ['letsencrypt', 'a@example.com'],
    ['letsencrypt', 'b@example.com'],
  ])
  t.same(await listed('letsencrypt'), [
    ['letsencrypt', 'a@example.com'],
    ['letsencrypt', 'b@example.com'],
  ])
  t.same(await listed('zerossl'), [])

  await t.test('without their CA’s directory, as older ones are', async (t) => {
    const folder = ['accounts', new URL(letsEncrypt.directory).host + new URL(letsEncrypt.directory).pathname]
    await state.write([...folder, 'a@example.com', 'account.json'], '{"url":"https://x/1"}')
    t.same((await listed()).slice(1, 2), [['letsencrypt', 'a@example.com']])
    t.match(findCa(letsEncrypt.directory), letsEncrypt)
  })

  await t.test('under another name', async (t) => {
    const first = await open('letsencrypt', 'a@example.com')
    await t.rejects(first.rename('b@example.com'), { code: 'USAGE', message: /another account of b@example\.com/ })
    const before = await first.read()
    const renamed = await first.rename('c@example.com')
    t.equal(renamed.name, 'c@example.com')
    t.same(await renamed.read(), before)
    t.equal(await first.read(), undefined)
    t.equal(await renamed.rename('c@example.com'), renamed)
  })
})
