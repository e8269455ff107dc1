// The CA that misbehaves as it is told does so, and behaves otherwise.
import { spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { generateKey } from './mint.js'
import { certIdOf } from './stub-ca/certificates.js'
import { type Answer, certificateKey, jwkOf, jws, RawClient } from './stub-ca/raw-client.js'
import { problem, type StubCa, startStubCa } from './stub-ca.js'

const name = 'a.example.com'

const open = async (t: Test): Promise<{ readonly ca: StubCa; readonly client: RawClient }> => {
  const ca = await startStubCa(t)
  return { ca, client: await RawClient.start(ca.directoryUrl) }
}

/** What an answer was refused with. */
const refused = (t: Test, { status, body, headers }: Answer, wanted: number, type: string): void => {
  t.same([status, body.type], [wanted, `urn:ietf:params:acme:error:${type}`], `${type}: ${body.detail}`)
  t.equal(headers.get('content-type'), 'application/problem+json')
}

const pems = (text: string): X509Certificate[] =>
  (text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map(
    (pem) => new X509Certificate(pem),
  )

t.test('a certificate, and what is kept of it', async (t) => {
  const { ca, client } = await open(t)
  const names = [name, '*.example.com', '192.0.2.1']
  const { status, text, headers } = await client.issue(names)
  t.equal(status, 200)
  const [leaf, issuer, ...more] = pems(text)
  if (leaf === undefined || issuer === undefined) throw new Error('a leaf and its issuer are wanted')
  t.same(more, [])
  t.equal(leaf.subjectAltName, 'DNS:a.example.com, DNS:*.example.com, IP Address:192.0.2.1')
  t.ok(leaf.verify(issuer.publicKey))
  t.match(issuer.issuer, 'CN=Stub Root')
  t.equal(headers.get('link'), null, 'there is one chain only')
  t.match(ca.accounts, [{ id: 0, status: 'valid', external: undefined }])
  t.match(ca.orders, [{ id: 0, account: 0, names, status: 'valid', finalized: 1, certificate: ca.certificates[0] }])
  t.match(ca.certificates, [{ id: 0, names, account: 0, order: 0, replaces: undefined, revoked: undefined }])
  t.equal(ca.certificates[0]?.serial.replace(/^00/, ''), leaf.serialNumber.toLowerCase())
  t.ok(leaf.raw.equals(ca.certificates[0]?.der ?? Buffer.alloc(0)))
  t.same([ca.orders.length, ca.certificates.length], [1, 1])
})

t.test('the CSR has to ask for what was ordered', async (t) => {
  const { ca, client } = await open(t)
  ca.manners.reuses = true
  const order = await client.order([name])
  refused(t, await client.finalize(order, ['b.example.com']), 400, 'badCSR')
  refused(t, await client.post(order.answer.body.finalize, { csr: 'AAAA' }), 400, 'badCSR')
  t.equal((await client.finalize(order, [name])).body.status, 'valid')
  refused(t, await client.finalize(order, [name]), 403, 'orderNotReady')
  t.equal(ca.certificates.length, 1)
})

t.test('an order is finalized once', async (t) => {
  const { ca, client } = await open(t)
  ca.manners.reuses = true
  const order = await client.order([name])
  const both = await Promise.all([client.finalize(order, [name]), client.finalize(order, [name])])
  t.same(both.map(({ status }) => status).sort(), [200, 403])
  t.same([ca.orders[0]?.finalized, ca.certificates.length], [1, 1])
})

t.test('signatures, nonces, URLs and accounts', async (t) => {
  const { ca, client } = await open(t)
  const newOrder = client.directory['newOrder'] ?? ''
  const identifiers = [{ type: 'dns', value: name }]
  const post = (how: object) => client.post(newOrder, { identifiers }, how)
  refused(t, await post({ nonce: 'stale' }), 400, 'badNonce')
  const nonce = await client.nonce()
  t.equal((await post({ nonce })).status, 201)
  refused(t, await post({ nonce }), 400, 'badNonce')
  refused(t, await post({ url: client.directory['newAccount'] }), 401, 'unauthorized')
  refused(t, await post({ key: generateKey('ec256') }), 400, 'malformed')
  refused(t, await post({ alg: 'HS256' }), 400, 'badSignatureAlgorithm')
  refused(t, await post({ byKey: true }), 400, 'malformed')
  refused(t, await client.get(newOrder), 405, 'malformed')
  t.equal(ca.orders.length, 1, 'only one was placed by all that')
  const order = await client.order([name])
  const other = await RawClient.start(ca.directoryUrl)
  for (const url of [order.url, order.answer.body.finalize, order.answer.body.authorizations[0], client.kid])
    refused(t, await other.post(url), 403, 'unauthorized')
  ca.forgetOrders()
  refused(t, await client.post(order.url), 404, 'malformed')
  ca.move()
  refused(t, await client.post(newOrder, { identifiers }), 404, 'malformed')
  const moved = (await client.get(ca.directoryUrl)).body.newOrder
  t.equal((await client.post(moved, { identifiers })).status, 201, 'the account moved with it')
  ca.forget()
  refused(t, await client.post(moved, { identifiers }), 400, 'accountDoesNotExist')
})

t.test('accounts', async (t) => {
  const { ca, client } = await open(t)
  const url = client.kid
  t.same([(await client.register()).status, client.kid], [200, url], 'the same key is the same account')
  const stranger = await RawClient.start(ca.directoryUrl, false)
  refused(t, await stranger.register({ onlyReturnExisting: true }), 400, 'accountDoesNotExist')
  t.equal(ca.accounts.length, 1)
  t.equal((await client.register({ onlyReturnExisting: true })).headers.get('location'), url)
  t.same((await client.post(url)).body, { status: 'valid', contact: [] })
  await client.post(url, { contact: ['mailto:a@example.com'] })
  t.same((await client.post(url)).body.contact, ['mailto:a@example.com'])

  t.test('another key', async (t) => {
    const [oldKey, newKey] = [client.key, generateKey('ec256')]
    const keyChange = client.directory['keyChange'] ?? ''
    const change = (to = newKey, from = oldKey, signer = to) =>
      jws({ alg: 'ES256', jwk: jwkOf(to), url: keyChange }, { account: url, oldKey: jwkOf(from) }, signer)
    refused(t, await client.post(keyChange, change(newKey, newKey)), 400, 'malformed')
    refused(t, await client.post(keyChange, change(newKey, oldKey, oldKey)), 400, 'malformed')
    await stranger.register()
    const taken = await client.post(keyChange, change(stranger.key))
    t.same([taken.status, taken.headers.get('location')], [409, stranger.kid])
    t.equal((await client.post(keyChange, change())).status, 200)
    refused(t, await client.post(url), 400, 'malformed')
    client.key = newKey
    t.equal((await client.post(url)).status, 200)
    t.equal((await client.register()).headers.get('location'), url)
  })

  t.test('is over', async (t) => {
    t.equal((await client.post(url, { status: 'deactivated' })).body.status, 'deactivated')
    refused(t, (await client.order([name])).answer, 403, 'unauthorized')
    t.equal(ca.accounts[0]?.status, 'deactivated')
  })
})

t.test('who wants an account has to agree, and to be known elsewhere', async (t) => {
  const ca = await startStubCa(t)
  ca.manners.terms = 'https://example.com/terms'
  ca.manners.externalAccounts = { 'kid-1': Buffer.from('secret').toString('base64url') }
  const client = await RawClient.start(ca.directoryUrl, false)
  t.same(client.meta, { termsOfService: 'https://example.com/terms', externalAccountRequired: true })
  refused(t, await client.register(), 403, 'userActionRequired')
  const register = (externalAccountBinding?: object) =>
    client.register({ termsOfServiceAgreed: true, externalAccountBinding })
  const secret = Buffer.from('secret').toString('base64url')
  refused(t, await register(), 403, 'externalAccountRequired')
  refused(t, await register({ protected: '' }), 400, 'malformed')
  refused(t, await register(client.binding('kid-2', secret)), 403, 'unauthorized')
  refused(t, await register(client.binding('kid-1', 'AAAA')), 403, 'unauthorized')
  refused(t, await register(client.binding('kid-1', secret, client.directory['newOrder'])), 400, 'malformed')
  const another = await RawClient.start(ca.directoryUrl, false)
  refused(t, await register(another.binding('kid-1', secret)), 400, 'malformed')
  t.equal(ca.accounts.length, 0)
  t.equal((await register(client.binding('kid-1', secret))).status, 201)
  t.match(ca.accounts, [{ external: 'kid-1' }])
})

t.test('names in ARI', async (t) => {
  // The example of RFC 9773, 4.1.
  t.equal(certIdOf('69885b6b87464041e1b37b847ba0ae2cde01c8d4', '0087654321'), 'aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE')
  const { ca, client } = await open(t)
  for (const i of [0, 1]) {
    await client.issue([name])
    const { certId, der } = ca.certificates[i] ?? {}
    const [authority = '', serial = ''] = (certId ?? '').split('.').map((one) => Buffer.from(one, 'base64url'))
    // As they stand in the certificate: [0] of the key identifier, and the INTEGER of the serial number.
    t.equal(der?.includes(Buffer.concat([Buffer.from([0x80, authority.length]), Buffer.from(authority)])), true)
    t.equal(der?.includes(Buffer.concat([Buffer.from([0x02, serial.length]), Buffer.from(serial)])), true)
    t.equal(serial.length, i === 0 ? 17 : 16, 'the sign is a byte of its own')
  }
})

t.test('ARI', async (t) => {
  const { ca, client } = await open(t)
  t.notOk('renewalInfo' in client.directory, 'there is none unless told')
  ca.manners.renewalInfo = 'the last third'
  ca.manners.lifetime = { days: 90 }
  await client.issue([name])
  const [certificate] = ca.certificates
  if (certificate === undefined) throw new Error('it was not issued')
  const base: string = (await client.get(ca.directoryUrl)).body.renewalInfo
  const ask = (certId = certificate.certId) => client.get(`${base}/${certId}`)

  t.test('the window', async (t) => {
    const usual = await ask()
    const from = certificate.notBefore.getTime() + 60 * 86_400_000
    t.equal(usual.body.suggestedWindow.start, new Date(from).toISOString())
    t.equal(usual.headers.get('retry-after'), '21600')
    refused(t, await ask('AAAA.AAAA'), 404, 'malformed')
    refused(t, await ask('nonsense'), 400, 'malformed')
    const [start, end] = [new Date(1e12), new Date(2e12)]
    ca.manners.renewalInfo = { start, end, explanationURL: 'https://example.com/why', retryAfter: 7 }
    const told = await ask()
    t.same(told.body, {
      suggestedWindow: { start: start.toISOString(), end: end.toISOString() },
      explanationURL: 'https://example.com/why',
    })
    t.equal(told.headers.get('retry-after'), '7')
    ca.manners.renewalInfo = ({ notAfter }) => ({ start: 'soon', end: notAfter, retryAfter: new Date(0) })
    t.same((await ask()).body.suggestedWindow, { start: 'soon', end: certificate.notAfter.toISOString() })
    t.equal((await ask()).headers.get('retry-after'), 'Thu, 01 Jan 1970 00:00:00 GMT')
  })

  t.test('no window', async (t) => {
    ca.manners.renewalInfo = { status: 200, body: 'nonsense' }
    t.equal((await ask()).text, 'nonsense')
    ca.manners.renewalInfo = { status: 503, headers: { 'retry-after': '3' } }
    t.equal((await ask()).status, 503)
    ca.manners.renewalInfo = problem(404, 'malformed', 'no')
    refused(t, await ask(), 404, 'malformed')
    ca.manners.renewalInfo = 'kill'
    await t.rejects(ask())
    ca.manners.renewalInfo = 'hang'
    const asked = ca.count('renewalInfo')
    const impatient = new AbortController()
    const hanging = fetch(`${base}/${certificate.certId}`, { signal: impatient.signal })
    while (ca.count('renewalInfo') === asked) await sleep(1)
    impatient.abort()
    await t.rejects(hanging, { name: 'AbortError' })
    ca.manners.renewalInfo = 'the last third'
  })

  t.test('what replaces what', async (t) => {
    const { certId } = certificate
    const replace = async (replaces: unknown, names = [name], who = client) =>
      (await who.order(names, { replaces })).answer
    refused(t, await replace('nonsense'), 400, 'malformed')
    refused(t, await replace(7), 400, 'malformed')
    refused(t, await replace('AAAA.AAAA'), 404, 'malformed')
    refused(t, await replace(certId, ['b.example.com']), 400, 'malformed')
    refused(t, await replace(certId, [name], await RawClient.start(ca.directoryUrl)), 400, 'malformed')
    ca.manners.replacing = problem(409, 'alreadyReplaced', 'says the test')
    t.match(await replace(certId), { status: 409, body: { detail: 'says the test' } })
    ca.manners.replacing = 'checked'
    t.equal(ca.orders.length, 1)
    const first = await replace(certId)
    t.match(first, { status: 201, body: { replaces: certId } })
    t.equal(ca.orders[1]?.replaces, certId)
    refused(t, await replace(certId), 409, 'alreadyReplaced')
    ca.endOrder(1)
    t.equal((await client.issue([name, 'b.example.com'], { replaces: certId })).status, 200)
    t.equal(ca.certificates[1]?.replaces, certId)
    ca.manners.renewalInfo = 'absent'
    const ignored = await replace(certId)
    t.equal(ignored.status, 201, 'without ARI it means nothing')
    t.notOk('replaces' in ignored.body)
    t.equal(ca.orders.at(-1)?.replaces, certId, 'but is kept')
  })
})

t.test('revoking', async (t) => {
  const { ca, client } = await open(t)
  ca.manners.renewalInfo = 'the last third'
  for (const _ of [0, 1]) await client.issue([name])
  const [first, second] = ca.certificates
  const url = client.directory['revokeCert'] ?? ''
  const of = (one = first, more = {}) => ({ certificate: one?.der.toString('base64url'), ...more })
  const other = await RawClient.start(ca.directoryUrl)
  refused(t, await other.post(url, of()), 403, 'unauthorized')
  refused(t, await other.post(url, of(), { byKey: true }), 403, 'unauthorized')
  refused(t, await client.post(url, { certificate: 'AAAA' }), 404, 'malformed')
  refused(t, await client.post(url, of(first, { reason: 99 })), 400, 'badRevocationReason')
  t.same([first?.revoked, second?.revoked], [undefined, undefined])
  t.equal((await client.post(url, of(first, { reason: 4 }))).status, 200)
  refused(t, await client.post(url, of()), 400, 'alreadyRevoked')
  t.equal((await other.post(url, of(second), { byKey: true, key: await certificateKey() })).status, 200)
  t.same([first?.revoked, second?.revoked], [4, 0])
  const base = (await client.get(ca.directoryUrl)).body.renewalInfo
  const { suggestedWindow } = (await client.get(`${base}/${first?.certId}`)).body
  t.ok(Date.parse(suggestedWindow.end) < Date.now(), 'it should have been renewed already')
})

t.test('profiles and lifetimes', async (t) => {
  const { ca, client } = await open(t)
  ca.manners.reuses = true
  t.equal(client.meta, undefined)
  const day = 86_400_000
  const life = async (more: object = {}): Promise<[number, number]> => {
    const [leaf] = pems((await client.issue([name], more)).text)
    const [from, to] = [Date.parse(leaf?.validFrom ?? ''), Date.parse(leaf?.validTo ?? '')]
    t.same([ca.certificates.at(-1)?.notBefore, ca.certificates.at(-1)?.notAfter], [new Date(from), new Date(to)])
    return [(to - from) / day, Math.round((Date.now() - from) / day)]
  }
  t.same(await life(), [380, 80])
  ca.manners.lifetime = { days: 90, used: 0.7 }
  t.same(await life(), [90, 63])
  ca.manners.lifetime = { days: 90, used: 2 }
  t.same(await life(), [90, 180])
  ca.manners.lifetime = { notBefore: new Date(1e12), notAfter: new Date(1e12 + day) }
  t.same((await life())[0], 1)
  refused(t, (await client.order([name], { profile: 'shortlived' })).answer, 400, 'invalidProfile')
  ca.manners.profiles = { classic: {}, shortlived: { description: 'about 6 days', lifetime: { hours: 160 } } }
  t.same((await client.get(ca.directoryUrl)).body.meta, {
    profiles: { classic: 'classic', shortlived: 'about 6 days' },
  })
  refused(t, (await client.order([name], { profile: 'toString' })).answer, 400, 'invalidProfile')
  t.same(await life({ profile: 'shortlived' }), [160 / 24, 0])
  t.same((await life({ profile: 'classic' }))[0], 1)
  t.same(
    ca.orders.slice(-2).map(({ profile }) => profile),
    ['shortlived', 'classic'],
  )
})

t.test('other chains', async (t) => {
  const { ca, client } = await open(t)
  ca.manners.alternateRoots = ['Second Root', 'Third Root']
  const { text, headers } = await client.issue([name])
  const url = `${client.directory['newOrder']?.replace('newOrder', 'certificate')}/0`
  t.equal(headers.get('link'), `<${url}/1>;rel="alternate", <${url}/2>;rel="alternate"`)
  const third = await client.post(`${url}/2`)
  t.equal(third.headers.get('link'), `<${url}>;rel="alternate", <${url}/1>;rel="alternate"`)
  const [leaf, issuer] = pems(third.text)
  t.equal(issuer?.issuer, 'CN=Third Root')
  t.equal(leaf?.raw.equals(pems(text)[0]?.raw ?? Buffer.alloc(0)), true)
  t.equal(issuer !== undefined && leaf?.verify(issuer.publicKey), true)
  t.equal((await client.post(`${url}/2`)).text, third.text)
  refused(t, await client.post(`${url}/3`), 404, 'malformed')
})

t.test('orders that take their time, or come to nothing', async (t) => {
  const { ca, client } = await open(t)
  ca.manners.pendingLooks = 2
  ca.manners.processingLooks = 2
  ca.manners.retryAfter = { order: 3, finalize: new Date(0) }
  const order = await client.order([name])
  t.equal(order.answer.headers.get('retry-after'), '3')
  await client.prove(order)
  const look = async (): Promise<string> => (await client.post(order.url)).body.status
  t.same([await look(), await look(), await look()], ['pending', 'pending', 'ready'])
  ca.manners.pendingLooks = 0
  const finalized = await client.finalize(order, [name])
  t.same([finalized.body.status, finalized.headers.get('retry-after')], ['processing', new Date(0).toUTCString()])
  t.notOk('certificate' in finalized.body)
  t.same([await look(), await look()], ['processing', 'valid'])
  t.equal((await client.post(order.url)).headers.get('retry-after'), null)

  t.test('stuck, until it is ended', async (t) => {
    ca.manners.processingLooks = Number.POSITIVE_INFINITY
    const stuck = await client.order([name])
    await client.prove(stuck)
    await client.finalize(stuck, [name])
    for (let i = 0; i < 5; i++) t.equal((await client.post(stuck.url)).body.status, 'processing')
    ca.endOrder(1, problem(500, 'serverInternal', 'lost'))
    t.match((await client.post(stuck.url)).body, { status: 'invalid', error: { detail: 'lost' } })
    ca.manners.processingLooks = 0
  })

  t.test('ends as it is told', async (t) => {
    ca.manners.outcome = problem(403, 'caa', 'CAA forbids')
    const issued = ca.certificates.length
    for (const looks of [0, 1]) {
      ca.manners.processingLooks = looks
      const lost = await client.order([name])
      await client.prove(lost)
      const { body } = await client.finalize(lost, [name])
      t.equal(body.status, looks === 0 ? 'invalid' : 'processing')
      t.match((await client.post(lost.url)).body, { status: 'invalid', error: { detail: 'CAA forbids' } })
    }
    t.equal(ca.certificates.length, issued)
    ca.manners.outcome = 'valid'
  })

  t.test('expires', async (t) => {
    const lasting = (await client.order([name])).answer.body.expires
    t.ok(Date.parse(lasting) > Date.now() + 86_400_000)
    ca.manners.ordersLast = 0
    const expired = await client.order([name])
    t.match((await client.post(expired.url)).body, { status: 'invalid', error: { detail: /expired/ } })
  })
})

t.test('authorizations', async (t) => {
  const { ca, client } = await open(t)
  const look = async (url: string) => (await client.post(url)).body

  t.test('what is offered', async (t) => {
    const { answer } = await client.order([name, '*.example.com', '192.0.2.1'])
    const [plain, wildcard, address] = await Promise.all(answer.body.authorizations.map(look))
    const types = (one: Answer['body']) => one.challenges.map(({ type }: { readonly type: string }) => type)
    t.same(types(plain), ['http-01', 'dns-01', 'tls-alpn-01'])
    t.same([types(wildcard), wildcard.wildcard, wildcard.identifier.value], [['dns-01'], true, 'example.com'])
    t.same([types(address), address.identifier.type], [['http-01', 'tls-alpn-01'], 'ip'])
  })

  t.test('some cannot be proven', async (t) => {
    ca.manners.unprovable = { 'b.example.com': problem(400, 'dns', 'NXDOMAIN') }
    const order = await client.order([name, 'b.example.com'])
    await client.prove(order)
    t.equal((await look(order.url)).status, 'invalid')
    const [a, b] = order.answer.body.authorizations
    t.equal((await look(a)).status, 'valid')
    t.match(await look(b), {
      status: 'invalid',
      challenges: [{ status: 'invalid', error: { type: 'urn:ietf:params:acme:error:dns', detail: 'NXDOMAIN' } }],
    })
    refused(t, await client.finalize(order, [name, 'b.example.com']), 403, 'orderNotReady')
    ca.manners.unprovable = {}
  })

  t.test('some take a few looks', async (t) => {
    ca.manners.validationLooks = 3
    ca.manners.retryAfter = { authorization: 2, challenge: 1 }
    const order = await client.order([name])
    const url = order.answer.body.authorizations[0]
    const [challenge] = (await look(url)).challenges
    const answered = await client.post(challenge.url, {})
    t.same([answered.body.status, answered.headers.get('retry-after')], ['processing', '1'])
    t.equal((await client.post(url)).headers.get('retry-after'), '2')
    t.equal((await client.post(challenge.url)).body.status, 'processing')
    t.equal((await look(order.url)).status, 'ready', 'a look at the order is one as well')
    t.match(await look(url), { status: 'valid', challenges: [{ status: 'valid' }] })
    ca.manners.validationLooks = 0
  })

  t.test('a look at a challenge does not answer it', async (t) => {
    const { answer, url } = await client.order([name])
    const [challenge] = (await look(answer.body.authorizations[0])).challenges
    await client.post(challenge.url)
    t.equal((await look(url)).status, 'pending')
  })

  t.test('some are taken over', async (t) => {
    ca.manners.reusesPercent = 50
    const ready = async (who = client) => (await who.order([name])).answer.body.status === 'ready'
    t.same([await ready(), await ready(), await ready(), await ready()], [false, true, false, true])
    ca.manners.reusesPercent = 100
    t.same([await ready(), await ready()], [true, true])
    t.notOk(await ready(await RawClient.start(ca.directoryUrl)), 'not those of others')
    t.equal((await client.order([name, 'new.example.com'])).answer.body.status, 'pending')
    t.equal((await client.issue([name])).status, 200)
  })

  t.test('one is given back', async (t) => {
    ca.manners.reusesPercent = 0
    const { answer, url } = await client.order([name])
    t.equal((await client.post(answer.body.authorizations[0], { status: 'deactivated' })).body.status, 'deactivated')
    t.equal((await look(url)).status, 'invalid')
  })
})

t.test('too many orders', async (t) => {
  const { ca, client } = await open(t)
  ca.manners.renewalInfo = 'the last third'
  ca.manners.orderLimit = { orders: 1, retryAfter: 60 }
  await client.issue([name])
  const { answer } = await client.order([name])
  refused(t, answer, 429, 'rateLimited')
  t.equal(answer.headers.get('retry-after'), '60')
  const replaces = ca.certificates[0]?.certId
  refused(t, (await client.order([name], { replaces })).answer, 429, 'rateLimited')
  ca.manners.orderLimit = { orders: 1, sparesRenewals: true }
  t.equal((await client.order([name], { replaces })).answer.status, 201)
  ca.manners.orderLimit = undefined
  t.equal((await client.order([name])).answer.status, 201)
})

t.test('at the n-th request', async (t) => {
  const { ca, client } = await open(t)
  const seen: string[] = []
  ca.onRequest(2, ({ kind }) => {
    seen.push(`${kind}, ${ca.orders.length} orders`)
  })
  ca.onRequest(1, () => void seen.push(`after, ${ca.orders.length} orders`), { kind: 'newOrder', when: 'after' })
  ca.onRequest(3, ({ kind }) => void seen.push(kind), { kind: 'order' })
  const { url } = await client.order([name])
  t.same(seen, ['after, 1 orders'], 'it was carried out by then')
  for (let i = 0; i < 3; i++) await client.post(url)
  t.same(seen, ['after, 1 orders', 'order, 1 orders', 'order'])

  ca.onRequest(1, () => 'kill')
  await t.rejects(client.order([name]))
  t.equal(ca.orders.length, 1, 'it was not carried out')
  ca.onRequest(1, async () => 'kill' as const, { kind: 'newOrder', when: 'after' })
  await t.rejects(client.order([name]))
  t.equal(ca.orders.length, 2, 'only its answer is lost')
  ca.onRequest(1, () => ({ status: 418 }), { kind: 'newOrder' })
  t.same([(await client.order([name])).answer.status, (await client.order([name])).answer.status], [418, 201])
})

t.test('a client is killed at a request, which may be carried out or not', async (t) => {
  const { ca } = await open(t)
  for (const [when, orders] of [
    ['before', 1],
    ['after', 2],
  ] as const) {
    const client = await RawClient.start(ca.directoryUrl)
    await client.order([name])
    const url = client.directory['newOrder'] ?? ''
    const body = await client.signed(url, { identifiers: [{ type: 'dns', value: name }] })
    const program = `fetch(${JSON.stringify(url)}, ${JSON.stringify({ method: 'POST', body })})`
    const child = spawn(process.execPath, ['-e', program], { stdio: 'ignore' })
    ca.onRequest(
      1,
      () => {
        child.kill('SIGKILL')
        return 'hang'
      },
      { kind: 'newOrder', when },
    )
    const [, signal] = await once(child, 'exit')
    t.equal(signal, 'SIGKILL')
    const { account } = ca.orders.at(-1) ?? {}
    t.equal(ca.orders.filter((order) => order.account === account).length, orders, when)
  }
})

t.test('many at ten at once', async (t) => {
  const { ca, client } = await open(t)
  const issue = async (worker: number): Promise<void> => {
    for (let i = 0; i < 2; i++) t.equal((await client.issue([`${worker}-${i}.example.com`])).status, 200)
  }
  await Promise.all(Array.from({ length: 10 }, (_, worker) => issue(worker)))
  t.equal(ca.certificates.length, 20)
  t.equal(new Set(ca.certificates.map(({ certId }) => certId)).size, 20)
  t.equal(new Set(ca.certificates.flatMap(({ names }) => names)).size, 20)
})
