// What `acme-oss issue-and-deploy` keeps, and what it does with it the next time.
import { createHash } from 'node:crypto'
import { readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  bucket,
  certificatesIn,
  email,
  findBelow,
  isServable,
  neverPrint,
  orderAt,
  standaloneFor,
  startWithPebble as start,
  testOutput,
} from './issue-command.js'
import { keyPem, mintAuthority, mintLeaf } from './mint.js'
import { hasPebble, type Pebble, startPebble } from './pebble.js'

if (!hasPebble()) t.bailout('pebble is not installed')

/** What is one of many alike is called in this process. */
const here = { here: true }

t.test('the account', async (t) => {
  const [pebble, place] = await start(t)
  const words = (name: string): string[] => [...orderAt(pebble, name), ...standaloneFor(pebble), ...place.toFolder]
  const withoutConsent = (name: string): string[] => words(name).filter((word) => word !== '--agree-tos')
  const registrations = (mark: number): number => pebble.requests(mark)['POST /sign-me-up'] ?? 0
  t.equal((await place.run(words('one.example.com'))).code, 0)
  const [keyFile, accountFile] = [findBelow(place.state, '/key.pem'), findBelow(place.state, '/account.json')]
  const [key, account] = [readFileSync(keyFile, 'utf8'), readFileSync(accountFile, 'utf8')]

  t.test('is used again', async (t) => {
    const mark = pebble.mark()
    t.equal((await place.run(withoutConsent('two.example.com'))).code, 0, 'and the terms are agreed to once')
    t.equal(registrations(mark), 0)
    t.equal(pebble.requests(mark)['GET /dir'], undefined, 'nor is the directory read again')
    t.same([readFileSync(keyFile, 'utf8'), readFileSync(accountFile, 'utf8')], [key, account])
  })

  t.test('is found again by its key', async (t) => {
    for (const damage of [() => unlinkSync(accountFile), () => writeFileSync(accountFile, '{"url":')]) {
      damage()
      const mark = pebble.mark()
      t.equal((await place.run(words('three.example.com'), here)).code, 0)
      t.equal(registrations(mark), 1)
      t.equal(readFileSync(accountFile, 'utf8'), account, 'it is the same')
      t.equal(readFileSync(keyFile, 'utf8'), key)
      rmSync(join(place.state, 'certificates/three.example.com'), { recursive: true })
    }
  })

  t.test('whose key cannot be read is not replaced behind one’s back', async (t) => {
    writeFileSync(keyFile, 'nonsense')
    const mark = pebble.mark()
    const { code, json } = await place.run([...words('four.example.com'), '--json'], here)
    t.equal(code, 1)
    t.match(json.error, { code: 'STATE_UNUSABLE', message: /key\.pem/, hint: /backup/ })
    t.same(pebble.requests(mark), {})
    writeFileSync(keyFile, key)
  })

  t.test('of another address is another', async (t) => {
    const mark = pebble.mark()
    const other = words('five.example.com').map((word) => (word === email ? 'other@example.com' : word))
    t.equal((await place.run(other, here)).code, 0)
    t.equal(registrations(mark), 1)
  })

  t.test('that the CA has forgotten', async (t) => {
    await pebble.restart()
    const restarted = pebble.mark()
    const refused = await place.run([...withoutConsent('six.example.com'), '--json'])
    t.equal(refused.code, 1)
    t.match(refused.json.error, {
      code: 'CA_REFUSED',
      message: /accountDoesNotExist/,
      hint: /--agree-tos/,
      vendor: { code: 'accountDoesNotExist' },
    })
    t.equal(pebble.issued(restarted), 0)
    const mark = pebble.mark()
    const result = await place.run(words('six.example.com'))
    if (!t.equal(result.code, 0)) t.comment(result.stderr)
    t.equal(registrations(mark), 1)
    t.equal(readFileSync(keyFile, 'utf8'), key, 'the key is still the same')
    t.not(readFileSync(accountFile, 'utf8'), account, 'the account is not')
    const after = pebble.mark()
    t.equal((await place.run(withoutConsent('seven.example.com'), here)).code, 0)
    t.equal(registrations(after), 0)
  })

  t.test('that has to be bound to another', async (t) => {
    const hmacKey = Buffer.from('a key that only the CA and we know of').toString('base64url')
    const wrongKey = Buffer.from('a key that is some other key indeed!!').toString('base64url')
    neverPrint(hmacKey)
    neverPrint(wrongKey)
    const [bound, place] = await start(t, { externalAccountBinding: { 'kid-1': hmacKey } })
    const file = (name: string, text: string): string => {
      const path = join(place.folder, name)
      writeFileSync(path, text)
      return path
    }
    const words = [...orderAt(bound, 'eab.example.com'), ...standaloneFor(bound), ...place.toFolder, '--json']
    const binding = (kid: string, path: string) => ['--eab-kid', kid, '--eab-hmac-key-file', path]

    const missing = await place.run(words)
    t.equal(missing.code, 1)
    t.match(missing.json.error, {
      code: 'CA_REFUSED',
      hint: /--eab-kid and --eab-hmac-key-file/,
      vendor: { code: 'externalAccountRequired' },
    })
    const right = file('right', `${hmacKey}\n`)
    for (const wrong of [binding('kid-1', file('wrong', wrongKey)), binding('kid-2', right)]) {
      const { code, json } = await place.run([...words, ...wrong], here)
      t.equal(code, 1)
      t.match(json.error, { code: 'CA_REFUSED', message: /^registering an account: localhost/, hint: /\w/ })
      t.notMatch(json.error?.message, /TypeError|undefined/)
    }
    t.equal(bound.requests()['POST /order-plz'], undefined)
    const result = await place.run([...words, ...binding('kid-1', right)])
    if (!t.equal(result.code, 0)) t.comment(result.stderr)
    t.equal((await place.run([...words, '--force-renewal'], here)).code, 0, 'once is enough')
    const record = readFileSync(findBelow(place.state, 'certificate.json'), 'utf8')
    t.notOk(record.includes(hmacKey), 'the key is not kept')
  })
})

t.test('what is remembered', async (t) => {
  const [[pebble, place], other] = await Promise.all([start(t), startPebble()])
  t.teardown(() => other.close())
  const names = ['a.example.com', 'b.example.com']
  const at = (ca: Pebble, ...more: readonly string[]): string[] => [
    ...[...orderAt(ca, ...names), ...standaloneFor(ca), '--name', 'kept', ...place.toBucket, '--json'],
    ...more,
  ]
  /** How many certificates the run had issued. */
  const ordersOf = async (words: readonly string[]): Promise<number> => {
    const before = pebble.issued() + other.issued()
    const result = await place.run(words, here)
    if (result.code !== 0) t.comment(result.stderr)
    const orders = pebble.issued() + other.issued() - before
    t.match(result, { code: 0, json: { ok: true, order: { placed: orders > 0 } } })
    return orders
  }
  const recordFile = join(place.state, 'certificates/kept/certificate.json')
  interface Kept {
    names: string[]
    current: { id: string; notBefore: string; notAfter: string }
  }
  const record = (): Kept => JSON.parse(readFileSync(recordFile, 'utf8')) as Kept
  const folder = (): string => join(place.state, 'certificates/kept', record().current.id)

  t.equal(await ordersOf(at(pebble)), 1)
  t.equal(await ordersOf(at(pebble)), 0, 'the same again')

  t.test('another order', async (t) => {
    t.equal(await ordersOf(at(pebble, '--force-renewal')), 1, 'one that is forced')
    t.equal(await ordersOf(at(pebble, '-d', 'c.example.com')), 1, 'for one more name')
    t.equal(await ordersOf(at(pebble)), 1, 'for one less')
    t.equal(await ordersOf(at(pebble, '--key-type', 'ec384')), 1, 'another kind of key')
    t.equal(await ordersOf(at(pebble, '--key-type', 'ec384')), 0)
    t.equal(await ordersOf(at(other, '--key-type', 'ec384')), 1, 'another CA')
    t.equal(await ordersOf(at(pebble)), 1)
    t.equal(await ordersOf(at(pebble)), 0)
  })

  t.test('by how long it still has', async (t) => {
    const day = 86_400_000
    const authority = await mintAuthority()
    const put = async (from: number, until: number): Promise<string> => {
      const [notBefore, notAfter] = [new Date(Date.now() + from * day), new Date(Date.now() + until * day)]
      const leaf = await mintLeaf({ issuer: authority, names, notBefore, notAfter })
      writeFileSync(join(folder(), 'fullchain.pem'), leaf.pem)
      writeFileSync(join(folder(), 'privkey.pem'), keyPem(leaf.key, 'pkcs8'))
      const dates = { notBefore: notBefore.toISOString(), notAfter: notAfter.toISOString() }
      const now = record()
      writeFileSync(recordFile, JSON.stringify({ ...now, current: { ...now.current, ...dates } }))
      return createHash('sha256').update(leaf.der).digest('hex')
    }
    const fresh = await put(-10, 80)
    t.equal(await ordersOf(at(pebble, '--allow-older')), 0)
    const [deployed] = certificatesIn(place.object('latest/cert.pem'))
    t.equal(deployed?.fingerprint256.replaceAll(':', '').toLowerCase(), fresh, 'the stored one was deployed')
    await put(-62, 28)
    t.equal(await ordersOf(at(pebble)), 1, 'two thirds of 90 days are over')
    await put(-2, 4)
    t.equal(await ordersOf(at(pebble, '--allow-older')), 0, 'a third of six days is over')
    await put(-4, 2)
    t.equal(await ordersOf(at(pebble)), 1, 'more than half of six days is over')
    await put(-100, -1)
    t.equal(await ordersOf(at(pebble)), 1, 'one that has expired')
  })

  t.test('unless it is damaged', async (t) => {
    const stranger = keyPem((await mintLeaf({ names })).key, 'pkcs8')
    const text = (): string => readFileSync(recordFile, 'utf8')
    const damages: readonly [string, () => void][] = [
      ['half a record', () => writeFileSync(recordFile, text().slice(0, 200))],
      ['an empty record', () => writeFileSync(recordFile, '')],
      ['no object', () => writeFileSync(recordFile, 'null')],
      ['a record of nothing', () => writeFileSync(recordFile, '{"schema":2}')],
      ['a record without names', () => writeFileSync(recordFile, JSON.stringify({ ...record(), names: undefined }))],
      ['a record of another kind', () => writeFileSync(recordFile, JSON.stringify({ ...record(), schema: 3 }))],
      ['no key', () => unlinkSync(join(folder(), 'privkey.pem'))],
      ['another key', () => writeFileSync(join(folder(), 'privkey.pem'), stranger)],
      ['half a certificate', () => writeFileSync(join(folder(), 'fullchain.pem'), '-----BEGIN CERTIFICATE-----\nMII')],
      ['no folder', () => rmSync(folder(), { recursive: true })],
    ]
    for (const [what, damage] of damages) {
      damage()
      t.equal(await ordersOf(at(pebble)), 1, what)
    }
    t.equal(await ordersOf(at(pebble)), 0)
  })

  t.test('dates that lie do not keep a certificate until it expires', async (t) => {
    const due = await mintLeaf({
      issuer: await mintAuthority(),
      names,
      notBefore: new Date(Date.now() - 80 * 86_400_000),
      notAfter: new Date(Date.now() + 10 * 86_400_000),
    })
    writeFileSync(join(folder(), 'fullchain.pem'), due.pem)
    writeFileSync(join(folder(), 'privkey.pem'), keyPem(due.key, 'pkcs8'))
    const now = record()
    writeFileSync(recordFile, JSON.stringify({ ...now, current: { ...now.current, notBefore: '?', notAfter: '?' } }))
    t.equal(await ordersOf(at(pebble)), 1)
  })
})

t.test('two at once for the same name: one order', async (t) => {
  const [pebble, place] = await start(t, { vaSleep: 1 })
  const words = [...orderAt(pebble, 'a.example.com'), ...standaloneFor(pebble), ...place.toBucket, '--json']
  const results = await Promise.all([place.run(words), place.run(words), place.run(words)])
  for (const { code, stderr } of results) if (!t.equal(code, 0)) t.comment(stderr)
  t.equal(pebble.issued(), 1)
  t.equal(pebble.requests()['POST /sign-me-up'], 1)
  t.equal(results.filter(({ json }) => json.order?.placed).length, 1)
  t.equal(new Set(results.map(({ json }) => json.certificate?.sha256)).size, 1)
  t.ok(results.some(({ stderr }) => /waiting for process \d+ on /.test(stderr)))
  await isServable(t, pebble, place, ['a.example.com'])
})

t.test('a bucket that is down costs no second order', async (t) => {
  const [pebble, place] = await start(t)
  const words = [...orderAt(pebble, 'a.example.com'), ...standaloneFor(pebble), ...place.toBucket, '--json']
  const fault = place.emulator.fail({ bucket }, { status: 403, code: 'AccessDenied' })
  for (const placed of [true, false]) {
    const { code, json } = await place.run(words)
    t.equal(code, 1)
    t.match(json, {
      ok: false,
      order: { placed },
      certificate: { name: 'a.example.com' },
      stages: [{ status: 'failed' }],
    })
    t.ok(json.pending.length > 0)
    t.equal(pebble.issued(), 1)
  }
  fault.remove()
  t.match(await place.run(words), { code: 0, json: { ok: true, order: { placed: false }, pending: [] } })
  t.equal(pebble.issued(), 1)
  await isServable(t, pebble, place, ['a.example.com'])

  t.test('nor does a process that is killed while it deploys', async (t) => {
    const hanging = place.emulator.fail({ bucket }, { hang: true })
    const before = place.emulator.requests.length
    const killed = await place.run([...words, '--force-renewal'], {
      onStart: (child) => {
        const look = setInterval(() => {
          if (place.emulator.requests.length === before) return
          clearInterval(look)
          child.kill('SIGKILL')
        }, 5)
      },
    })
    t.equal(killed.signal, 'SIGKILL')
    hanging.remove()
    t.equal(pebble.issued(), 2)
    const { code, json, stderr } = await place.run(words)
    if (!t.equal(code, 0)) t.comment(stderr)
    t.match(json, { order: { placed: false }, stages: [{ status: 'changed' }] })
    t.equal(pebble.issued(), 2)
    await isServable(t, pebble, place, ['a.example.com'])
  })
})

t.test('nothing was given away by any of this', async (t) => testOutput(t))
