// Waiting until every name server of a zone has the records: servers that lag behind, that stay silent, that are led to
// by CNAMEs. In this process, since name servers listen on port 53 everywhere but here.
import t, { type Test } from 'tap'
import { CertError } from '../../src/errors.js'
import { alidnsAdvice } from '../../src/solvers/alidns.js'
import { type DnsVisibleOptions, dnsVisible } from '../../src/solvers/dns-visible.js'
import type { Challenge } from '../../src/solvers/solver.js'
import { ZoneStore } from '../emulator/alidns/zone-store.js'
import { serveZones, type ZoneServer } from '../zone-server.js'

const hosts = {
  'ns1.alidns.com': '127.0.0.2',
  'ns2.alidns.com': '127.0.0.3',
  'ns.elsewhere.example': '127.0.0.4',
  // Nobody listens there.
  'ns.nowhere.example': '127.0.0.5',
}

interface World {
  readonly store: ZoneStore
  /** What a machine's own name server is: it knows everything, and follows. */
  readonly system: ZoneServer
  readonly first: ZoneServer
  readonly second: ZoneServer
  readonly elsewhere: ZoneServer
  readonly lines: string[]
  /** Waits for these, and tells what came of it. */
  readonly settle: (
    challenges: readonly Challenge[],
    options?: Partial<DnsVisibleOptions>,
    signal?: AbortSignal,
  ) => Promise<'seen' | CertError>
}

const challengeAt = (domain: string, value: string): Challenge => ({
  type: 'dns-01',
  domain,
  token: 'token',
  place: `_acme-challenge.${domain}`,
  value,
})

const openWorld = async (t: Test): Promise<World> => {
  const store = new ZoneStore(() => new Date())
  const servers = ['ns1.alidns.com', 'ns2.alidns.com']
  for (const zone of ['example.com', 'deep.dev.example.com']) store.addZone(zone, { servers })
  store.addZone('example.org', { servers: ['ns.elsewhere.example'] })
  const only = ['example.com', 'deep.dev.example.com']
  const system = await serveZones(t, store, { hosts })
  const [first, second, elsewhere] = await samePort(t, store, only)
  const lines: string[] = []
  return {
    ...{ store, system, first, second, elsewhere, lines },
    settle: async (challenges, options = {}, signal = new AbortController().signal) => {
      const settle = dnsVisible({
        timeout: 60,
        resolver: system.address,
        port: first.port,
        advice: alidnsAdvice,
        ...options,
      } as DnsVisibleOptions)
      try {
        await settle(challenges, (what) => lines.push(what), signal)
        return 'seen'
      } catch (error) {
        if (error instanceof CertError) return error
        throw error
      }
    },
  }
}

const samePort = async (
  t: Test,
  store: ZoneStore,
  only: readonly string[],
): Promise<[ZoneServer, ZoneServer, ZoneServer]> => {
  for (let tries = 1; ; tries++) {
    try {
      const first = await serveZones(t, store, { ip: '127.0.0.2', hosts, only })
      const { port } = first
      const second = await serveZones(t, store, { ip: '127.0.0.3', port, hosts, only })
      return [first, second, await serveZones(t, store, { ip: '127.0.0.4', port, hosts, only: ['example.org'] })]
    } catch (error) {
      // Somebody has that port on another of the addresses.
      if (tries === 5) throw error
    }
  }
}

const value = (i: number): string => String(i).padStart(43, 'v')

const asked = ({ questions }: ZoneServer, type: string): string[] => questions.filter((one) => one.startsWith(type))

t.test('all of them have all of it', async (t) => {
  const world = await openWorld(t)
  world.store.addRecord('example.com', '_acme-challenge', 'TXT', value(1))
  world.store.addRecord('example.com', '_acme-challenge', 'TXT', value(2))
  world.store.addRecord('deep.dev.example.com', '_acme-challenge.a', 'TXT', value(3))
  // What everything below leads to is not what the place is.
  world.store.addRecord('example.com', '*', 'CNAME', 'www.example.org')
  const challenges = [
    challengeAt('example.com', value(1)),
    challengeAt('example.com', value(2)),
    challengeAt('a.deep.dev.example.com', value(3)),
  ]
  t.equal(await world.settle(challenges), 'seen')
  t.same(world.lines, ['TXT records: 3 of 3 are on every name server'])
  const places = ['TXT _acme-challenge.a.deep.dev.example.com', 'TXT _acme-challenge.example.com']
  for (const server of [world.first, world.second]) t.same([...new Set(asked(server, 'TXT'))].sort(), places)
  t.same(asked(world.system, 'TXT'), [], 'no cache is asked for the records')
  t.same(asked(world.system, 'CNAME'), [])

  t.equal(await world.settle([challengeAt('nowhere.example', value(1))], { timeout: 0 }), 'seen', 'nobody looks')
})

t.test('one lags behind, and twenty names come one after another', async (t) => {
  const world = await openWorld(t)
  const names = Array.from({ length: 20 }, (_, i) => `n${i}.example.com`)
  for (const [i, name] of names.entries())
    world.store.addRecord('example.com', `_acme-challenge.${name.split('.')[0]}`, 'TXT', value(i))
  // Before a record is there, another one stands for all that there is not.
  world.store.addRecord('example.com', '*', 'CNAME', 'www.example.org')
  world.second.lacks = ({ type, value: one }) =>
    type === 'TXT' && world.lines.length === 0 && one !== value(0) && one !== value(1)
  t.equal(await world.settle(names.map((name, i) => challengeAt(name, value(i)))), 'seen')
  t.same(world.lines, [
    'TXT records: 2 of 20 are on every name server',
    'TXT records: 20 of 20 are on every name server',
  ])
  const again = asked(world.first, 'TXT').filter((one) => one === 'TXT _acme-challenge.n0.example.com')
  t.equal(again.length, 1, 'what is there is not asked for again')
})

t.test('a CNAME leads to the zone of others', async (t) => {
  const world = await openWorld(t)
  world.store.addRecord('example.com', '_acme-challenge.www', 'CNAME', 'proof.example.org')
  world.store.addRecord('example.org', 'proof', 'TXT', value(1))
  world.elsewhere.lacks = () => world.lines.length === 0
  t.equal(await world.settle([challengeAt('www.example.com', value(1))]), 'seen')
  t.same(world.lines, ['TXT records: 0 of 1 are on every name server', 'TXT records: 1 of 1 are on every name server'])
})

t.test('one is silent', async (t) => {
  const world = await openWorld(t)
  world.store.addRecord('example.com', '_acme-challenge', 'TXT', value(1))
  world.second.silent = true
  t.equal(await world.settle([challengeAt('example.com', value(1))]), 'seen')
  t.same(world.lines, [
    'TXT records: ns2.alidns.com (127.0.0.3) does not answer, and is passed over',
    'TXT records: 1 of 1 are on every name server',
  ])
  t.equal(world.second.questions.length, 2, 'it was asked twice')
})

t.test('they do not come to be seen', async (t) => {
  const world = await openWorld(t)
  world.second.lacks = () => true
  world.store.addRecord('example.com', '_acme-challenge', 'TXT', value(1))
  world.store.addRecord('example.com', '_acme-challenge.b', 'TXT', value(2))
  const late = await world.settle([challengeAt('example.com', value(1)), challengeAt('b.example.com', value(2))], {
    timeout: 1,
  })
  t.match(late, {
    code: 'SOLVER_FAILED',
    message:
      'the TXT record at _acme-challenge.example.com is not on ns2.alidns.com (127.0.0.3) after 1 seconds, nor are those of 1 more names',
    hint: /--dns-timeout/,
  })
  t.match(await world.settle([challengeAt('www.example.org', value(1))], { timeout: 1 }), {
    message: /^the TXT record at _acme-challenge\.www\.example\.org is not on ns\.elsewhere\.example \(127\.0\.0\.4\)/,
    hint: /^the zone is not served by AliDNS: its name servers are ns\.elsewhere\.example;/,
  })
})

t.test('nobody can be reached', async (t) => {
  const world = await openWorld(t)
  const refused = {
    code: 'SOLVER_FAILED',
    message: /^no name server that answers for _acme-challenge\.\S+ can be reached/,
    hint: /--dns-resolver 223\.5\.5\.5; --dns-timeout 0/,
  }
  t.match(await world.settle([challengeAt('www.nowhere.example', value(1))]), refused, 'no such zone')
  world.store.addZone('example.net', { servers: ['ns.nowhere.example'] })
  t.match(await world.settle([challengeAt('www.example.net', value(1))]), {
    ...refused,
    message: /\(ns\.nowhere\.example \(127\.0\.0\.5\)\)$/,
  })
})

t.test('one name server instead of all', async (t) => {
  const world = await openWorld(t)
  world.store.addRecord('example.org', '_acme-challenge', 'CNAME', 'proof.example.com')
  world.store.addRecord('example.com', 'proof', 'TXT', value(1))
  const only = world.system.address
  t.equal(await world.settle([challengeAt('example.org', value(1))], { only }), 'seen')
  t.same(world.system.questions, ['NS _acme-challenge.example.org', 'TXT _acme-challenge.example.org'])
  t.match(await world.settle([challengeAt('b.example.org', value(1))], { only, timeout: 1 }), {
    code: 'SOLVER_FAILED',
    message: `the TXT record at _acme-challenge.b.example.org is not on ${only} after 1 seconds`,
  })
})

t.test('an interruption ends it', async (t) => {
  const world = await openWorld(t)
  const stop = new AbortController()
  world.first.silent = true
  world.first.onQuestion = () => stop.abort()
  t.match(await world.settle([challengeAt('example.com', value(1))], {}, stop.signal), { code: 'INTERRUPTED' })
  t.match(await world.settle([challengeAt('example.com', value(1))], {}, stop.signal), { code: 'INTERRUPTED' })
})
