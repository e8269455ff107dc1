// dns-01 through AliDNS: a real CA validates what the command writes into the emulator's zones, by way of a name server
// that answers from them.
import t, { type Test } from 'tap'
import { HttpConnections } from '../../src/http-connections.js'
import { Secret } from '../../src/secret.js'
import { createSolver, solverPermissions } from '../../src/solvers/index.js'
import type { AccessKey } from '../emulator/access-key.js'
import {
  certificatesIn,
  isServable,
  namesOf,
  openWorkplace,
  orderAt,
  testOutput,
  type Workplace,
} from '../issue-command.js'
import { hasPebble, type Pebble, startPebble } from '../pebble.js'
import { serveZones, type ZoneServer } from '../zone-server.js'

if (!hasPebble()) t.bailout('pebble is not installed')

interface World extends Workplace {
  readonly dns: ZoneServer
  readonly pebble: Pebble
  /** Orders a certificate for these names, by AliDNS. */
  readonly order: (names: readonly string[], more?: readonly string[]) => ReturnType<Workplace['run']>
  /** What stands at a name. */
  readonly txt: (name: string) => string[]
}

const openWorld = async (t: Test): Promise<World> => {
  const place = await openWorkplace(t)
  const { alidns } = place.emulator
  for (const zone of ['example.com', 'dev.example.com', 'acme.example.net']) alidns.addZone(zone)
  for (const zone of ['example.org', 'example.edu']) alidns.addZone(zone, { ofOthers: true })
  const dns = await serveZones(t, alidns)
  const pebble = await startPebble({ dnsServer: dns.address })
  t.teardown(() => pebble.close())
  const solving = ['--solver', 'alidns', '--alidns-endpoint', place.emulator.url, '--dns-resolver', dns.address]
  return {
    ...place,
    dns,
    pebble,
    order: (names, more = []) =>
      place.run([...orderAt(pebble, ...names), ...solving, ...place.toBucket, '--json', ...more]),
    txt: (name) => alidns.values(name),
  }
}

const world = await openWorld(t)
const { emulator, pebble, order, txt, dns } = world
const { alidns } = emulator

/** The calls of AliDNS from a moment on. */
const calls = (since: number): string[] =>
  emulator.requests.slice(since).flatMap(({ action }) => (action?.startsWith('alidns:') ? [action.slice(7)] : []))

/** The records that were asked for from a moment on, by what was sent. */
const added = (since = 0): Readonly<Record<string, string>>[] =>
  emulator.requests
    .slice(since)
    .filter(({ action }) => action === 'alidns:AddDomainRecord')
    .map(({ parameters }) => Object.fromEntries(parameters.map(({ name, value }) => [name, value])))

const countOf = (all: readonly string[], name: string): number => all.filter((one) => one === name).length

t.test('a wildcard beside its base, and a name in a zone within the zone', async (t) => {
  alidns.addRecord('example.com', '_acme-challenge', 'TXT', 'of somebody else')
  alidns.addRecord('example.com', 'x._acme-challenge', 'TXT', 'near by')
  alidns.addRecord('example.com', '*', 'CNAME', 'everything.cdn.example')
  const names = ['*.example.com', 'example.com', 'a.b.c.dev.example.com']
  const most: Record<string, readonly string[]> = {}
  dns.onQuestion = (question) => {
    const [type = '', name = ''] = question.split(' ')
    if (type === 'TXT') most[name] = txt(name)
  }
  const result = await order(names)
  dns.onQuestion = () => undefined
  if (!t.equal(result.code, 0)) return t.comment(result.stdout + result.stderr)
  await isServable(t, pebble, world, names)
  const { '_acme-challenge.example.com': both = [], ...others } = most
  t.match(both, ['of somebody else', /^[\w-]{43}$/, /^[\w-]{43}$/], 'both values, beside what was there')
  t.match(others, { '_acme-challenge.a.b.c.dev.example.com': [/^[\w-]{43}$/] })
  const zones = added().map(({ DomainName }) => DomainName)
  t.same(zones.sort(), ['dev.example.com', 'example.com', 'example.com'], 'the longest zone that there is')
  t.ok(added().every(({ TTL }) => TTL === '600'))
  t.same(txt('_acme-challenge.example.com'), ['of somebody else'], 'what is not ours stays')
  t.same(txt('x._acme-challenge.example.com'), ['near by'])
  t.same(txt('_acme-challenge.a.b.c.dev.example.com'), [])
  t.match(result.stderr, /TXT records: 3 of 3 are known to 127\.0\.0\.1:\d+/)
  t.equal(dns.questions.filter((one) => /^CNAME _acme/.test(one)).length, 0, 'nobody is asked for what is not there')
  return undefined
})

t.test('CNAMEs that lead into another zone', async (t) => {
  alidns.addRecord('example.com', '_acme-challenge.led', 'CNAME', 'Hop.example.edu')
  alidns.addRecord('example.edu', 'hop', 'CNAME', 'led.acme.example.net')
  alidns.addRecord('example.org', '_acme-challenge', 'CNAME', 'led.acme.example.net')
  const since = emulator.requests.length
  const names = ['led.example.com', 'example.org', '*.example.org']
  const { code, stdout, stderr } = await order(names)
  if (!t.equal(code, 0)) return t.comment(stdout + stderr)
  t.same(namesOf(certificatesIn(world.object('latest/cert.pem'))[0]), [...names].sort())
  t.equal(added(since).filter(({ DomainName }) => DomainName === 'acme.example.net').length, 3)
  t.same(txt('led.acme.example.net'), [])
  t.equal(countOf(calls(since), 'DeleteDomainRecord'), 3)
  return undefined
})

t.test('twenty names, with trouble on the way', async (t) => {
  const names = Array.from({ length: 20 }, (_, i) => `n${i}.example.com`)
  const faults = [
    emulator.fail({ action: 'alidns:AddDomainRecord', nth: [1, 4] }, { status: 400, code: 'LastOperationNotFinished' }),
    emulator.fail({ action: 'alidns:AddDomainRecord', nth: 7 }, { status: 400, code: 'Throttling.User' }),
    emulator.fail({ action: 'alidns:DescribeDomainRecords', nth: 3 }, { status: 400, code: 'Throttling.User' }),
    emulator.fail({ action: 'alidns:DeleteDomainRecord', nth: 2 }, { status: 400, code: 'LastOperationNotFinished' }),
    // The answer is lost, and the next try finds the record there.
    emulator.fail({ action: 'alidns:AddDomainRecord', nth: 9 }, { reset: 'after' }),
  ]
  const since = emulator.requests.length
  const before = alidns.zone('example.com')?.records.size
  const { code, stdout, stderr } = await order(names)
  t.same(
    faults.map(({ hits }) => hits),
    [2, 1, 1, 1, 1],
  )
  for (const fault of faults) fault.remove()
  if (!t.equal(code, 0)) return t.comment(stdout + stderr)
  t.same(namesOf(certificatesIn(world.object('latest/cert.pem'))[0]), [...names].sort())
  t.equal(alidns.zone('example.com')?.records.size, before, 'nothing is left')
  const duplicates = emulator.requests.slice(since).filter(({ answer }) => answer?.code === 'DomainRecordDuplicate')
  t.equal(duplicates.length, 1)
  t.match(stderr, /TXT records: 20 of 20/)
  return undefined
})

t.test('a failed order is cleaned up as well', async (t) => {
  alidns.addRecord('example.com', '_acme-challenge.caught', 'TXT', 'of somebody else')
  // The CA sees none of it.
  dns.lacks = ({ value }) => value.length === 43
  const { code, json } = await order(['caught.example.com'], ['--dns-timeout', '0'])
  t.equal(code, 1)
  t.match(json.error, { code: 'CHALLENGE_FAILED' })
  t.same(txt('_acme-challenge.caught.example.com'), ['of somebody else'])

  const mark = pebble.mark()
  const late = await order(['late.example.com', 'later.example.com'], ['--dns-timeout', '1'])
  dns.lacks = () => false
  t.equal(late.code, 1)
  t.match(late.json.error, {
    code: 'SOLVER_FAILED',
    message: /^the TXT record at _acme-challenge\.later?\.example\.com is not on 127\.0\.0\.1:\d+ after 1 seconds, nor/,
    hint: /--dns-resolver/,
  })
  t.equal(pebble.requests(mark)['POST /chalZ'], undefined, 'the CA was not told to look')
  t.same(txt('_acme-challenge.late.example.com'), [])
})

const key: AccessKey = {
  id: world.environment['ALIBABA_CLOUD_ACCESS_KEY_ID'] ?? '',
  secret: world.environment['ALIBABA_CLOUD_ACCESS_KEY_SECRET'] ?? '',
  allow: [{ action: '*', resource: '*' }],
}

const { signal } = new AbortController()

/** A solver as another process would make it. */
const newSolver = (t: Test) => {
  const connections = new HttpConnections()
  t.teardown(() => connections.close())
  const credentials = async () => ({
    accessKeyId: new Secret(key.id),
    accessKeySecret: new Secret(key.secret),
    securityToken: undefined,
  })
  return createSolver(
    { solver: 'alidns', challenge: 'dns-01', alidnsEndpoint: emulator.url, dnsResolver: dns.address },
    { environment: {}, connections, credentials, timeout: 10_000, now: () => new Date() },
  )
}

const challengeAt = (domain: string, value: string) => ({
  type: 'dns-01' as const,
  domain,
  token: 'token',
  place: `_acme-challenge.${domain}`,
  value,
})

t.test('refusals', async (t) => {
  t.teardown(() => emulator.addKey(key))
  const refused = async (name: string, error: object) =>
    t.match(
      await newSolver(t)
        .present(challengeAt(name, 'value'), [], signal)
        .catch((thrown: unknown) => thrown),
      {
        code: 'CLOUD_REFUSED',
        ...error,
      },
    )
  await refused('www.example.edu', {
    vendor: { code: 'IncorrectDomainUser' },
    message: /^looking for the zone of _acme-challenge\.www\.example\.edu in AliDNS: example\.edu: IncorrectDomainUser/,
    hint: /another account/,
  })
  await refused('www.example.co.uk', {
    vendor: { code: 'InvalidDomainName.NoExist' },
    message: /: example\.co\.uk: /,
    hint: /no such zone in AliDNS.*CNAME.*--solver exec/,
  })
  alidns.addRecord('example.com', '_acme-challenge.astray', 'CNAME', 'astray.example.edu')
  await refused('astray.example.com', {
    message:
      /^a CNAME leads _acme-challenge\.astray\.example\.com elsewhere: looking for the zone of astray\.example\.edu/,
  })
  alidns.addRecord('example.com', '_acme-challenge.round', 'CNAME', '_acme-challenge.round.example.com')
  await refused('round.example.com', { code: 'SOLVER_FAILED', message: /lead on and on/ })
  emulator.addKey({ ...key, allow: [{ action: 'alidns:DescribeDomainRecords', resource: 'domain/example.com' }] })
  await refused('www.example.com', {
    vendor: { code: 'Forbidden.RAM' },
    hint: /grant the RAM user alidns:AddDomainRecord on acs:alidns:\*:\*:domain\/example\.com /,
  })
  emulator.addKey({ ...key, allow: [] })
  const mark = pebble.mark()
  const { code, json } = await order(['www.example.com'])
  t.equal(code, 1)
  t.match(json.error, {
    code: 'CLOUD_REFUSED',
    vendor: { code: 'Forbidden.RAM' },
    hint: /grant the RAM user alidns:DescribeDomainRecords on acs:alidns:\*:\*:domain\/example\.com /,
  })
  t.equal(pebble.requests(mark)['POST /chalZ'], undefined)
})

t.test('what is printed as the least policy is enough', async (t) => {
  t.teardown(() => emulator.addKey(key))
  const rights = solverPermissions({ solver: 'alidns', challenge: 'dns-01' }, ['*.least.example.com'])
  const allow = rights.map(({ actions, resources }) => ({ action: actions, resource: resources }))
  emulator.addKey({ ...key, allow: [...allow, { action: 'oss:*', resource: '*' }] })
  const { code, stdout, stderr } = await order(['*.least.example.com'])
  if (!t.equal(code, 0)) t.comment(stdout + stderr)
})

t.test('a later process cleans up, which knows nothing but the challenge', async (t) => {
  const value = 'v'.repeat(43)
  const names = ['old.example.com', 'www.dev.example.com', 'led.example.com', 'www.example.org']
  alidns.addRecord('example.com', '_acme-challenge.old', 'TXT', value)
  alidns.addRecord('example.com', '_acme-challenge.old', 'TXT', value.toUpperCase())
  alidns.addRecord('example.com', '_acme-challenge.older', 'TXT', value)
  alidns.addRecord('acme.example.net', 'led', 'TXT', value)
  alidns.addRecord('example.org', '_acme-challenge.www', 'CNAME', 'www.acme.example.net')
  alidns.addRecord('acme.example.net', 'www', 'TXT', value)
  for (const what of ['first', 'again, where nothing is left']) {
    const solver = newSolver(t)
    for (const name of names) await solver.cleanUp(challengeAt(name, value), [], signal)
    t.same(txt('_acme-challenge.old.example.com'), [value.toUpperCase()], what)
    t.same(txt('_acme-challenge.older.example.com'), [value], 'its name only begins like that')
    t.same([...txt('led.acme.example.net'), ...txt('www.acme.example.net')], [], 'where CNAMEs lead')
  }
})

t.test('nothing was given away by any of this', async (t) => testOutput(t))
