// A bad certificate is everywhere: one command brings the one before back, in the layout, in a folder, on a domain of the
// bucket, on CDN and on DCDN; and neither the timer nor the client that hands the bad one over again undoes that.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { bucket, daysFromNow, type Material, mintMaterial, prefix, proveSilence, resultOf } from '../deploy-world.js'
import {
  changesIn,
  dialling,
  openServedWorld,
  type ServedWorld,
  stageLines,
  wildcardNames,
} from '../served/served-world.js'
import { callHook, ends, provesLatest, provesNoKey, provesSettled, sync } from '../sync/hook-call.js'

const issuerUrl = 'http://ca.example.com/intermediate.der'
const mint = (begins: number, ends: number): Promise<Material> =>
  mintMaterial({ names: wildcardNames, issuerUrl, notBefore: daysFromNow(begins), notAfter: daysFromNow(ends) })
const [first, good, bad, next] = await Promise.all([mint(-60, 20), mint(-40, 40), mint(-20, 60), mint(-1, 80)])

const sumOf = ({ x509 }: Material): string => x509.fingerprint256.replaceAll(':', '').toLowerCase()
const host = 'static.example.com'

const inPlace = (world: ServedWorld): Record<string, unknown> => ({
  directory: existsSync(world.path('here', 'latest'))
    ? readFileSync(world.path('here', 'latest', 'cert.pem'), 'utf8')
    : undefined,
  cname: world.emulator.cname(host)?.certificate?.sha256,
  edges: [...world.emulator.cdn.domains, ...world.emulator.dcdn.domains].map(({ certificate }) => certificate?.sha256),
})

const holds = (t: Test, world: ServedWorld, material: Material, what: string): void => {
  provesLatest(t, world, material)
  const sum = sumOf(material)
  t.same(inPlace(world), { directory: material.leaf, cname: sum, edges: [sum, sum] }, what)
}

interface HoldShape {
  readonly archive: string
  readonly sha256: string
  readonly away: readonly string[]
}

const holdOf = (world: ServedWorld): HoldShape | undefined => {
  const file = join(world.state, 'deployments', 'example.com', 'hold.json')
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined
}

t.test('back everywhere in one command, and there it stays', async (t) => {
  const world = await openServedWorld(t, { here: true })
  const { emulator } = world
  emulator.bindCname(host, bucket)
  emulator.addCdnDomain('www.example.com', { certificate: first })
  emulator.addDcdnDomain('api.example.com', { certificate: first })
  const words = [
    ...world.withLayout,
    ...['--oss-cname', host, '--cdn-domain', 'auto', '--dcdn-domain', 'api.example.com'],
    ...['--directory', world.path('here')],
  ]
  for (const one of [first, good]) ends(t, await callHook(world, one, { words }), 0)
  const fault = emulator.fail({ action: 'dcdn:SetDcdnDomainSSLCertificate' }, { status: 403, code: 'Forbidden.RAM' })
  ends(t, await callHook(world, bad, { words }), 3)
  fault.remove()
  provesLatest(t, world, bad)

  // Slow, so that the bad one is seen first: a newer one will not do.
  const edge = await emulator.startEdge({ delayMs: 300 })
  const toEdge = dialling(edge)

  await t.test('a dry run says what would be done, and does nothing', async (t) => {
    const from = emulator.requests.length
    const run = await world.run(['rollback', '--dry-run', '--json'])
    ends(t, run, 0)
    const { from: current, hold, ...result } = JSON.parse(run.stdout)
    t.match(result, { ok: true, command: 'rollback', certificate: { archive: good.archive } })
    t.equal(result.stages.length, 5)
    t.same([current, hold], [bad.archive, null])
    t.same(changesIn(emulator.requests.slice(from)), [])
    t.equal(holdOf(world), undefined)
  })

  await t.test('rollback, as a process of its own', async (t) => {
    const run = await world.run(['rollback', 'example.com', '--json', '--verify-timeout', '30', ...toEdge], {
      here: false,
    })
    ends(t, run, 0)
    const { from, hold, ...result } = JSON.parse(run.stdout)
    t.equal(from, bad.archive)
    t.match(hold, { archive: good.archive, sha256: sumOf(good), away: [sumOf(bad)] })
    const plain = resultOf({ ...run, stdout: `${JSON.stringify(result)}\n` })
    t.match(plain, { command: 'rollback', ok: true, pending: [], certificate: { name: 'example.com' } })
    t.same(stageLines(plain.stages).sort(), [
      'cdn auto changed: find unchanged, bind www.example.com changed, served www.example.com unchanged',
      'dcdn api.example.com unchanged: bind unchanged, served unchanged',
      `directory ${world.path('here')} changed: archive unchanged, latest changed`,
      `oss ${bucket}/${prefix} changed: archive unchanged, latest changed`,
      `oss-cname ${bucket}/${host} changed: bind changed, served unchanged`,
    ])
    holds(t, world, good, 'the good one is everywhere')
    const seen = edge.handshakes.filter((one) => one.host === 'www.example.com').map(({ sha256 }) => sha256)
    t.equal(seen[0], sumOf(bad), 'the bad one was seen')
    t.equal(seen.at(-1), sumOf(good), 'and waited out')
    t.match(holdOf(world), { archive: good.archive, away: [sumOf(bad)] })
    provesNoKey(t, world, good, bad)
  })

  await t.test('the timer does not undo it', async (t) => {
    const from = emulator.requests.length
    ends(t, await sync(world), 0)
    ends(t, await world.run(['renew']), 0)
    t.same(changesIn(emulator.requests.slice(from)), [])
    holds(t, world, good, 'the good one is still there')
    await provesSettled(t, world, good, bad)
  })

  await t.test('what was rolled back from is not deployed again by a hook', async (t) => {
    const from = emulator.requests.length
    const run = await callHook(world, bad, { words: [...words, '--json'] })
    ends(t, run, 0)
    const result = resultOf(run)
    t.same([result.stages, result.pending], [[], []])
    t.match(result.warnings, [
      new RegExp(`^example.com was rolled back from ${bad.archive} .* stays at ${good.archive}`),
    ])
    t.same(changesIn(emulator.requests.slice(from)), [])
    ends(t, await sync(world), 0)
    holds(t, world, good, 'the good one is still there')
    t.match(holdOf(world), { archive: good.archive })
  })

  await t.test('the one that is held, and an older one, leave the hold as it is', async (t) => {
    for (const one of [good, first]) ends(t, await callHook(world, one, { words }), 0)
    holds(t, world, good, 'the good one is still there')
    t.match(holdOf(world), { archive: good.archive, away: [sumOf(bad)] })
  })

  await t.test('history tells it', async (t) => {
    const run = await world.run(['history', 'example.com', '--json'])
    ends(t, run, 0)
    const { places, warnings, name } = JSON.parse(run.stdout)
    t.same([warnings, name, places.length], [[], 'example.com', 2])
    for (const { latest, listed, archives, others } of places) {
      t.same([latest, listed, others], [good.archive, true, []])
      t.match(
        archives.map((one: Record<string, unknown>) => [
          one['archive'],
          one['latest'],
          one['held'],
          one['rolledBackFrom'],
        ]),
        [
          [bad.archive, false, false, true],
          [good.archive, true, true, false],
          [first.archive, false, false, false],
        ],
      )
      const used = archives[1].inUse.map((one: { target: string; by: string }) => `${one.target} ${one.by}`)
      t.same(used.sort(), [
        'cdn auto look',
        'dcdn api.example.com look',
        `directory ${world.path('here')} look`,
        `oss ${bucket}/${prefix} look`,
        `oss-cname ${bucket}/${host} look`,
      ])
      t.match(archives[0], { status: 'whole', names: wildcardNames, keyType: 'EC P-256', expired: false, inUse: [] })
      t.equal(archives[0].sha256, sumOf(bad))
    }
  })

  await t.test('status measures by what is held, and takes nothing newer for it', async (t) => {
    const look = async (code: number) => {
      const run = await world.run(['status', '--json'])
      ends(t, run, code)
      return JSON.parse(run.stdout).results[0]
    }
    t.match(await look(0), { certificate: { archive: good.archive }, held: { archive: good.archive }, concerns: [] })
    emulator.bindCname(host, bucket, { certificate: bad })
    const { concerns } = await look(1)
    t.match(concerns, [{ kind: 'drift', place: new RegExp(host) }])
  })

  await t.test('rollback once more goes further back; --to the newer one goes forward', async (t) => {
    ends(t, await world.run(['rollback', '--no-verify']), 0)
    holds(t, world, first, 'the first one is everywhere')
    t.same([...(holdOf(world)?.away ?? [])].sort(), [sumOf(bad), sumOf(good)].sort())
    const none = await world.run(['rollback', '--no-verify', '--json'])
    ends(t, none, 2)
    t.match(resultOf(none).error, { code: 'ARCHIVE_UNUSABLE', message: /no archive from before/ })
    holds(t, world, first, 'a refusal leaves it there')
    ends(t, await world.run(['rollback', '--no-verify', '--to', good.archive]), 0)
    holds(t, world, good, 'the good one is everywhere')
    t.match(holdOf(world), { archive: good.archive })
    t.ok(holdOf(world)?.away.includes(sumOf(bad)))
    const again = await world.run(['rollback', '--no-verify', '--json', '--to', good.archive])
    ends(t, again, 0)
    const { from: _from, hold: _hold, ...result } = JSON.parse(again.stdout)
    t.same([...new Set(result.stages.map(({ status }: { status: string }) => status))], ['unchanged'])
  })

  await t.test('a place that fails is done by sync, although a newer one was on record there', async (t) => {
    ends(t, await world.run(['rollback', '--no-verify', '--to', bad.archive]), 0)
    holds(t, world, bad, 'forward again')
    const fault = emulator.fail({ action: 'cdn:SetCdnDomainSSLCertificate' }, { status: 403, code: 'Forbidden.RAM' })
    ends(t, await world.run(['rollback', '--no-verify', '--to', good.archive]), 3)
    fault.remove()
    const handed = await callHook(world, good, { words: [...words, '--json'] })
    ends(t, handed, 0)
    t.match(resultOf(handed).warnings, [/is not everywhere yet: acme-oss sync goes on with that/])
    ends(t, await sync(world), 0)
    holds(t, world, good, 'the good one is everywhere')
  })

  await t.test('a different certificate ends it', async (t) => {
    ends(t, await callHook(world, next, { words }), 0)
    holds(t, world, next, 'the next one is everywhere')
    t.equal(holdOf(world), undefined)
  })

  await t.test('whoever types the very one that was rolled back from gets it', async (t) => {
    ends(t, await world.run(['rollback', '--no-verify']), 0)
    holds(t, world, bad, 'the one before')
    const run = await world.deploy(next, [...words, '--name', 'example.com', '--json'])
    ends(t, run, 0)
    t.match(resultOf(run).warnings, [/was rolled back from this certificate .* that is over/])
    holds(t, world, next, 'the next one is everywhere')
    t.equal(holdOf(world), undefined)
  })

  await t.test('forget forgets the hold', async (t) => {
    ends(t, await world.run(['rollback', '--no-verify']), 0)
    t.match(holdOf(world), { archive: bad.archive })
    writeFileSync(join(world.state, 'deployments', 'example.com', 'hold.json'), '{')
    const status = await world.run(['status', '--json'])
    ends(t, status, 1)
    t.match(JSON.parse(status.stdout).results[0].concerns, [{ kind: 'damaged', sentence: /hold\.json is damaged/ }])
    const history = await world.run(['history', '--json'])
    ends(t, history, 0)
    t.match(JSON.parse(history.stdout).warnings, [/hold\.json is damaged/])
    const run = await world.run(['forget', 'example.com', '--json'])
    ends(t, run, 0)
    t.match(JSON.parse(run.stdout).forgotten, /its hold/)
    t.equal(holdOf(world), undefined)
  })
})

t.test('nothing secret was said', proveSilence)
