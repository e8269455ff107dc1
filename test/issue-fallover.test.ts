// Several CAs: the next one is asked where one fails by itself, and only there.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { findBelow, neverPrint, testOutput } from './issue-command.js'
import { problem, type StubCa, startStubCa } from './stub-ca.js'
import { html, setUp, succeeded, type Trial } from './stub-trial.js'

interface Pair extends Trial {
  readonly second: StubCa
}

/** Most of it is tried in this process. */
const here = { here: true }

/** Two CAs, of which the first is asked first. */
const setUpTwo = async (t: Test): Promise<Pair> => {
  const [trial, second] = await Promise.all([setUp(t), startStubCa(t)])
  return { ...trial, second, run: (more = [], options) => trial.run(['--ca', second.directoryUrl, ...more], options) }
}

const nameOf = (ca: StubCa): string => new URL(ca.directoryUrl).host

interface Stored {
  readonly current?: { readonly directory: string }
}

const stored = ({ place }: Trial): Stored =>
  JSON.parse(readFileSync(join(place.state, 'certificates/a.example.com/certificate.json'), 'utf8')) as Stored

/** What is kept of orders that have not ended. */
const begun = ({ place }: Trial): string[] => {
  const folder = join(place.state, 'certificates/a.example.com/orders')
  return existsSync(folder) ? readdirSync(folder).sort() : []
}

const limited = problem(429, 'rateLimited', 'too many orders')
const isOver = { ...limited, headers: { ...limited.headers, 'retry-after': '3600' } }

interface Case {
  readonly prepare: (first: StubCa) => void
  readonly more?: readonly string[]
  /** Of the warning, behind the name of the CA. */
  readonly says: RegExp
}

const cases: Readonly<Record<string, Case>> = {
  'one that does not answer': {
    prepare: (first) => first.fail('directory', 'kill', 1000),
    more: ['--timeout', '1'],
    says: /cannot be reached/,
  },
  'one that does not issue for these names': {
    prepare: (first) => first.fail('newOrder', problem(403, 'rejectedIdentifier', 'not for you')),
    says: /rejectedIdentifier \(not for you\)/,
  },
  'one whose limit is reached': { prepare: (first) => first.fail('newOrder', isOver), says: /rateLimited/ },
  'one that is being repaired': {
    prepare: (first) => first.fail('newOrder', { status: 503, headers: { 'retry-after': '60' } }),
    says: /HTTP 503/,
  },
  'one that answers in HTML': {
    prepare: (first) => first.fail('newOrder', html(200)),
    says: /gave an answer that is none/,
  },
  'one that asks to wait for a day': {
    prepare: (first) => {
      first.manners.processingLooks = Number.POSITIVE_INFINITY
      first.manners.retryAfter = { finalize: 86_400, order: 86_400 }
    },
    says: /asks to wait for another 1440 minutes/,
  },
  'one that cannot decide': {
    prepare: (first) => {
      first.manners.processingLooks = Number.POSITIVE_INFINITY
    },
    more: ['--ca-timeout', '1'],
    says: /still processing after 1 seconds/,
  },
  'one that never looks at the answers': {
    prepare: (first) => {
      first.manners.validationLooks = Number.POSITIVE_INFINITY
    },
    more: ['--ca-timeout', '1'],
    says: /still pending after 1 seconds/,
  },
  'one that a CAA record forbids': {
    prepare: (first) => {
      first.manners.unprovable = { 'b.example.com': problem(403, 'caa', 'CAA forbids it') }
    },
    says: /b\.example\.com: the http-01 challenge failed: caa/,
  },
  'one that finds that out at the end': {
    prepare: (first) => {
      first.manners.outcome = problem(403, 'caa', 'CAA forbids it')
    },
    says: /ended the order as invalid: caa/,
  },
  'one that wants to know us from elsewhere': {
    prepare: (first) => {
      first.manners.externalAccounts = {}
    },
    says: /externalAccountRequired/,
  },
}

t.test('the second one issues, behind', async (t) => {
  await Promise.all(
    Object.entries(cases).map(async ([what, { prepare, more = [], says }]) => {
      const trial = await setUpTwo(t)
      prepare(trial.ca)
      const result = await trial.run(more, { here: what !== 'one whose limit is reached' })
      t.test(what, async (t) => {
        succeeded(t, result)
        t.equal(result.json.order?.ca, nameOf(trial.second))
        t.equal(result.json.warnings.length, 1)
        const [warning = ''] = result.json.warnings
        t.match(warning, says)
        t.ok(warning.includes(nameOf(trial.ca)), 'it says of which')
        t.ok(warning.endsWith(`: ${nameOf(trial.second)} is asked instead`))
        t.ok(result.stderr.includes(warning), 'and people are told')
        t.equal(stored(trial).current?.directory, trial.second.directoryUrl, 'and it is known who issued')
        t.same([trial.ca.orders.length <= 1, trial.second.orders.length], [true, 1])
        t.same(readdirSync(trial.web), [], 'no answer is left')
        t.same(begun(trial), [], 'nor is an order that would take its place')
      })
    }),
  )
})

t.test('where nobody listens', async (t) => {
  const { ca, place, web } = await setUp(t)
  const words = ['-d', 'a.example.com', '--agree-tos', '--json', '--webroot', web, ...place.toFolder]
  const cas = ['--ca', `http://127.0.0.1:${await closedPort()}/dir`, '--ca', ca.directoryUrl]
  const result = await place.run([...words, ...cas, '--timeout', '2'])
  succeeded(t, result)
  t.match(result.json, { order: { ca: nameOf(ca) }, warnings: [/ECONNREFUSED.*is asked instead$/] })
})

t.test('what would fail anywhere ends it', async (t) => {
  const wrong = await setUpTwo(t)
  wrong.ca.manners.unprovable = { 'b.example.com': problem(403, 'unauthorized', 'something else was there') }
  const solver = ['--solver', 'exec', '--challenge', 'http-01', '--exec-auth', 'false']
  const unable = await setUpTwo(t)
  const [challenge, failing] = await Promise.all([wrong.run([], here), unable.run(solver, here)])
  t.match(challenge, { code: 1, json: { error: { code: 'CHALLENGE_FAILED', vendor: { code: 'unauthorized' } } } })
  t.match(failing, { code: 1, json: { error: { code: 'PROGRAM_FAILED' } } })
  for (const { second, ca } of [wrong, unable]) {
    t.equal(ca.orders.length, 1)
    t.equal(second.connections, 0)
  }
})

t.test('none of them issues: one error that names them all', async (t) => {
  const { ca, second, run, isClean } = await setUpTwo(t)
  ca.manners.processingLooks = Number.POSITIVE_INFINITY
  ca.manners.retryAfter = { finalize: 86_400, order: 86_400 }
  second.fail('newOrder', problem(403, 'rejectedIdentifier', 'not for you'))
  const { code, json } = await run([], here)
  t.equal(code, 1)
  t.equal(json.error?.code, 'CA_UNAVAILABLE')
  t.match(json.error?.message, new RegExp(`^${nameOf(ca)}: .*; then .*${nameOf(second)}.*not for you`))
  t.ok(json.error?.hint)
  t.ok(isClean())
})

t.test('one that would give us no account', async (t) => {
  const trial = await setUpTwo(t)
  const { code, json } = await trial.run(['--ca', 'zerossl'])
  t.equal(code, 2)
  t.match(json.error, { code: 'USAGE', message: /^zerossl registers only/, hint: /--eab-kid/ })
  t.same([trial.ca.connections, trial.second.connections], [0, 0])
  t.notOk(existsSync(trial.place.state))
})

t.test('each with its binding', async (t) => {
  const { ca, second, place, run } = await setUpTwo(t)
  const binding = (name: string): string => {
    const key = Buffer.from(`the key that ${name} knows us by, and no other`).toString('base64url')
    neverPrint(key)
    writeFileSync(join(place.folder, `${name}.key`), `${key}\n`)
    return key
  }
  ca.manners.externalAccounts = { 'kid-1': binding('first') }
  second.manners.externalAccounts = { 'kid-2': binding('second') }
  ca.fail('newOrder', problem(403, 'rejectedIdentifier', 'not for you'))
  const file = join(place.folder, 'acme-oss.yaml')
  const eab = (one: StubCa, kid: string, name: string) =>
    `    "${one.directoryUrl}": { kid: ${kid}, hmac-key-file: ${name}.key }\n`
  writeFileSync(file, `account:\n  eab:\n${eab(ca, 'kid-1', 'first')}${eab(second, 'kid-2', 'second')}`, {
    mode: 0o644,
  })
  const result = await run(['--config', file], here)
  succeeded(t, result)
  t.equal(result.json.order?.ca, nameOf(second))
  const bound = (one: StubCa) => one.accounts.map(({ external }) => external)
  t.same([bound(ca), bound(second)], [['kid-1'], ['kid-2']])
})

t.test('one that asked to be left alone is left alone', async (t) => {
  const trial = await setUpTwo(t)
  const { ca, second, run, place } = trial
  ca.fail('newOrder', isOver)
  t.match(await run([], here), { code: 0, json: { order: { ca: nameOf(second) } } })
  const ledger = findBelow(
    place.state,
    `orders/${encodeURIComponent(`${nameOf(ca)}/dir`)}/a.example.com%2Cb.example.com.json`,
  )
  const { restUntil, orders } = JSON.parse(readFileSync(ledger, 'utf8')) as { restUntil: string; orders: object[] }
  t.same(orders, [], 'it placed none')

  const again = await run(['--force-renewal'])
  t.match(again, { code: 0, json: { order: { ca: nameOf(second) } } })
  const until = `${restUntil.slice(0, 16).replace('T', ' ')} UTC`
  t.match(again.json.warnings, [new RegExp(`before ${until}: it asked to be left alone: `)])
  t.equal(ca.count('newOrder'), 1, 'that was the first time')

  writeFileSync(ledger, JSON.stringify({ orders: [], restUntil: new Date(Date.now() - 1000).toISOString() }))
  t.match(await run(['--force-renewal'], here), { code: 0, json: { order: { ca: nameOf(ca) }, warnings: [] } })
})

t.test('an order that is not at its end', async (t) => {
  const trial = await setUp(t)
  const { ca, run, place } = trial
  ca.manners.processingLooks = Number.POSITIVE_INFINITY
  const record = (): { readonly challenges: readonly object[]; readonly url: string | null } =>
    JSON.parse(readFileSync(findBelow(join(place.state, 'certificates'), '%2Fdir.json'), 'utf8'))
  t.match(await run(['--ca-timeout', '1']), { code: 1, json: { error: { code: 'CA_UNAVAILABLE' } } })
  t.equal(begun(trial).length, 2, 'is kept, with its key')
  t.same(record().challenges, [], 'and nothing of it is left in place')

  ca.manners.processingLooks = 0
  const next = await run()
  succeeded(t, next)
  t.match(next.stderr, /goes on with the order of an earlier run/)
  t.same([ca.count('newOrder'), ca.count('finalize')], [1, 1])
  t.same(begun(trial), [])

  await t.test('is dropped with a failed challenge', async (t) => {
    ca.manners.unprovable = { 'b.example.com': problem(403, 'unauthorized', 'something else was there') }
    t.match(await run(['--force-renewal'], here), { code: 1, json: { error: { code: 'CHALLENGE_FAILED' } } })
    t.same(begun(trial), [])
  })
})

const closedPort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

t.test('nothing was given away by any of this', async (t) => testOutput(t))
