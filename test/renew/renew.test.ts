// `renew` as a timer runs it: what is due is ordered, deployed and, where that fails, left to be tried again.
import { X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { testOutput } from '../issue-command.js'
import { runCommand } from '../run-command.js'
import { problem, startStubCa } from '../stub-ca.js'
import { at, openRenewWorld } from './renew-world.js'

const isDue = { days: 90, used: 0.7 }
const isFresh = { days: 90, used: 0.1 }

t.test('what was issued by hand is renewed when it is due, and where it went', async (t) => {
  const world = await openRenewWorld(t)
  const { ca } = world
  mkdirSync(world.path('web'))
  const to = (name: string) => ['--directory', world.path(name)]
  ca.manners.lifetime = isDue
  t.equal((await world.issue([...at(ca, world.path('web'), 'a.example.com'), ...to('a')])).code, 0)
  ca.manners.lifetime = isFresh
  t.equal((await world.issue([...at(ca, world.path('web'), 'b.example.com'), ...to('b')])).code, 0)

  await t.test('one of two', async (t) => {
    const before = { a: world.deployed('a'), b: world.deployed('b') }
    const { code, json, stderr } = await world.renew()
    t.equal(code, 0, stderr)
    t.match(json, {
      ok: true,
      results: [
        {
          name: 'a.example.com',
          due: true,
          why: /^it is valid for 2[67] more days$/,
          order: { placed: true },
          error: null,
        },
        { name: 'b.example.com', due: false, why: null, order: null, stages: [] },
      ],
    })
    t.match(json.results[1]?.renewal, /^20\d\d-/, 'and says when')
    t.equal(ca.orders.length, 3, 'one more was ordered')
    t.not(world.deployed('a'), before.a)
    t.equal(world.deployed('b'), before.b)
  })

  await t.test('and none the next time', async (t) => {
    const { code, stderr, json } = await world.renew()
    t.equal(code, 0, stderr)
    t.same(
      json.results.map(({ due }) => due),
      [false, false],
    )
    t.equal(ca.orders.length, 3)
  })

  await t.test('by name', async (t) => {
    const { code, json } = await world.renew(['b.example.com', '--force-renewal'])
    t.equal(code, 0)
    t.match(json.results, [{ name: 'b.example.com', why: 'it was asked for' }])
    t.equal(json.results.length, 1)
    t.equal(ca.orders.length, 4)
    const strange = await world.renew(['b.example.org'])
    t.equal(strange.code, 2)
    t.match(JSON.parse(strange.stdout), { error: { code: 'USAGE', hint: 'did you mean b.example.com?' } })
    const all = await world.renew(['--force-renewal'])
    t.equal(all.code, 2, 'all of them, due or not: that is a slip')
    t.equal(ca.orders.length, 4)
  })

  await t.test('shared out among two', async (t) => {
    const parts = [await world.renew(['--shard', '0/2']), await world.renew(['--shard', '1/2'])]
    const names = parts.flatMap(({ json }) => json.results.map(({ name }) => name))
    t.same(names.sort(), ['a.example.com', 'b.example.com'], 'each has one part of all')
    t.equal((await world.renew(['--shard', '2/2'])).code, 2)
  })

  await t.test('forgotten', async (t) => {
    const forget = await runCommand(['forget', 'b.example.com', '--state-dir', world.state], { folder: world.folder })
    t.equal(forget.code, 0)
    t.match(forget.stdout, /its renewal/)
    const { code, json } = await world.renew()
    t.equal(code, 0)
    t.same(
      json.results.map(({ name }) => name),
      ['a.example.com'],
    )
    t.equal((await world.issue([...at(ca, world.path('web'), 'b.example.com'), ...to('b')])).code, 0)
    t.equal((await world.renew()).json.results.length, 2, 'until it is wanted again')
  })

  await t.test('only looked at', async (t) => {
    rmSync(world.path('a'), { recursive: true })
    ca.manners.lifetime = isDue
    t.equal((await world.renew(['a.example.com', '--force-renewal'])).code, 0)
    const orders = ca.orders.length
    const { code, json } = await world.renew(['--dry-run'])
    t.equal(code, 0)
    t.same(
      json.results.map(({ due }) => due),
      [true, false],
    )
    t.equal(ca.orders.length, orders)
  })
})

t.test('what the configuration says is to be issued', async (t) => {
  const world = await openRenewWorld(t)
  const { ca } = world
  mkdirSync(world.path('web'))
  const entry = (name: string, folder: string) => `
  ${name}:
    domains: [${name}]
    issue: { ca: '${ca.directoryUrl}', webroot: '${world.path('web')}' }
    deploy: [{ directory: { path: '${world.path(folder)}' } }]`
  world.configure(
    `account: { agree-tos: true }\ncertificates:${entry('c.example.com', 'c')}${entry('d.example.com', 'd')}\n`,
  )

  await t.test('is issued', async (t) => {
    const { code, json, stderr } = await world.renew()
    t.equal(code, 0, stderr)
    t.match(json.results, [{ name: 'c.example.com', why: 'there is none yet' }, { name: 'd.example.com' }])
    t.equal(ca.orders.length, 2)
    t.equal(ca.accounts.length, 1, 'with one account')
    t.equal(ca.connections <= 12, true, 'over connections that are shared')
  })

  await t.test('one fails, and the other is not kept from it', async (t) => {
    writeFileSync(
      world.path('acme-oss.yaml'),
      `account: { agree-tos: true }\ncertificates:${entry('e.example.com', 'e')}${entry('f.example.com', 'f')}\n`,
    )
    ca.manners.unprovable = { 'e.example.com': problem(403, 'unauthorized', 'no') }
    const { code, json } = await world.renew()
    t.equal(code, 3)
    t.match(
      json.results.filter(({ due }) => due),
      [
        { name: 'e.example.com', error: { code: 'CHALLENGE_FAILED' } },
        { name: 'f.example.com', error: null },
      ],
    )
    t.ok(world.deployed('f'))
    t.same(world.begun('e.example.com'), [], 'an order that failed is over')
    ca.manners.unprovable = {}
    t.equal((await world.renew()).code, 0, 'and the next run mends it')
    t.ok(world.deployed('e'))
  })

  await t.test('what cannot be deployed is not ordered again', async (t) => {
    const orders = ca.orders.length
    rmSync(world.path('f'), { recursive: true })
    writeFileSync(world.path('f'), 'a file in its place')
    t.equal((await world.renew(['f.example.com', '--force-renewal'])).code, 1)
    t.equal(ca.orders.length, orders + 1)
    rmSync(world.path('f'))
    const later = await world.renew()
    t.equal(ca.orders.length, orders + 1)
    t.equal(later.code, 0)
    t.match(
      later.json.results.filter(({ name }) => name === 'f.example.com'),
      [{ due: false }, { pending: [{ step: 'archive' }, { step: 'latest' }] }],
      'it is left to be tried again',
    )
    const record = readFileSync(join(world.state, 'certificates', 'f.example.com', 'certificate.json'), 'utf8')
    t.match(JSON.parse(record), { schema: 2, current: { directory: ca.directoryUrl } })
  })

  await t.test('a configuration that cannot be read does not let them expire', async (t) => {
    const good = readFileSync(world.path('acme-oss.yaml'), 'utf8')
    writeFileSync(world.path('acme-oss.yaml'), 'certificates: [')
    const quiet = await world.renew()
    t.equal(quiet.code, 2)
    t.match(quiet.json, { ok: false, error: { code: 'CONFIG_INVALID' } })
    t.same(
      quiet.json.results.filter(({ due }) => due !== undefined).map(({ name, due }) => `${name} ${due}`),
      ['e', 'f'].map((name) => `${name}.example.com false`),
      'nor does it bring back what was taken out before',
    )
    const before = world.deployed('e')
    const { code, json } = await world.renew(['e.example.com', '--force-renewal'])
    t.equal(code, 3)
    t.match(json.results, [{ name: 'e.example.com', stages: [{ status: 'changed' }], error: null }])
    t.not(world.deployed('e'), before)
    writeFileSync(world.path('acme-oss.yaml'), good)
  })

  await t.test('what was taken out of it is not renewed', async (t) => {
    const { code, json } = await world.renew()
    t.equal(code, 0)
    t.same(
      json.results.filter(({ due }) => due !== undefined).map(({ name }) => name),
      ['e.example.com', 'f.example.com'],
    )
    const asked = await world.renew(['c.example.com'])
    t.match(asked.json.results, [{ name: 'c.example.com', error: { code: 'USAGE', message: /taken out of the conf/ } }])
    t.equal(asked.code, 1)
  })
})

t.test('a certificate of a second CA, kept ready', async (t) => {
  const world = await openRenewWorld(t)
  const { ca } = world
  const second = await startStubCa(t)
  mkdirSync(world.path('web'))
  const words = [...at(ca, world.path('web'), 'g.example.com'), '--directory', world.path('g')]
  ca.manners.lifetime = isFresh
  t.equal((await world.issue([...words, '--standby', second.directoryUrl])).code, 0)
  const before = world.deployed('g')
  const archives = () => readdirSync(world.path('g')).filter((name) => /^\d{4}-/.test(name))
  t.equal(archives().length, 1)

  await t.test('is got when there is none', async (t) => {
    second.manners.lifetime = isDue
    const { code, json, stderr } = await world.renew()
    t.equal(code, 0, stderr)
    t.match(json.results, [
      { name: 'g.example.com', due: false },
      {
        name: 'g.example.com~standby',
        why: 'there is none yet',
        order: { placed: true },
        stages: [{ target: `directory ${world.path('g')} (archive only)`, status: 'changed' }],
      },
    ])
    t.equal(second.orders.length, 1)
    t.equal(ca.orders.length, 1)
    t.equal(archives().length, 2, 'it lies in the archive')
    t.equal(world.deployed('g'), before, 'and nowhere else')
    const kept = readFileSync(
      join(
        world.path('g'),
        archives().find((name) => !readFileSync(join(world.path('g'), name, 'cert.pem'), 'utf8').includes(before)) ??
          '',
        'cert.pem',
      ),
      'utf8',
    )
    t.match(new X509Certificate(kept).subjectAltName, 'DNS:g.example.com')
  })

  await t.test('has a clock of its own', async (t) => {
    second.manners.lifetime = isFresh
    const due = await world.renew()
    t.equal(due.code, 0)
    t.match(due.json.results, [{ due: false }, { name: 'g.example.com~standby', due: true, why: /^it is valid for/ }])
    t.equal(second.orders.length, 2)
    const { json } = await world.renew()
    t.same(
      json.results.map((one) => one.due),
      [false, false],
    )
    t.equal(second.orders.length, 2)
    t.equal(world.deployed('g'), before)
  })

  await t.test('does not keep a newer one from latest, nor the other way round', async (t) => {
    ca.manners.lifetime = { days: 90, used: 0.3 }
    t.equal((await world.renew(['g.example.com', '--force-renewal'])).code, 0)
    t.not(world.deployed('g'), before)
  })

  await t.test('fails by itself', async (t) => {
    second.manners.lifetime = isDue
    second.fail('newOrder', problem(403, 'rejectedIdentifier', 'not this one'), 1)
    rmSync(join(world.state, 'certificates', 'g.example.com~standby'), { recursive: true })
    const { code, json } = await world.renew()
    t.equal(code, 1)
    t.match(json.results, [{ name: 'g.example.com', error: null }, { error: { code: 'CA_REFUSED' } }])
  })
})

t.test('a name that is not known leaves nothing behind', async (t) => {
  const world = await openRenewWorld(t)
  t.equal((await world.renew(['h.example.com'], { here: true })).code, 2)
  t.notOk(existsSync(world.state))
})

t.test('nothing was given away by any of this', async (t) => testOutput(t))
