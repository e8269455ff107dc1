// A run that ends half-way through the domains that it found: the next one does the rest, and nothing twice.
import type { ChildProcess } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { daysFromNow, deploymentsIn, until } from '../deploy-world.js'
import {
  type BindingWorld,
  formOf,
  lineOf,
  mint,
  openBinding,
  pair,
  proveNoKeyLeaks,
  type SyncShape,
  sha256Of,
  stepsOf,
} from './binding-world.js'
import { cdn } from './edge-products.js'

const names = ['*.example.com']
const older = await mint({ names, notBefore: daysFromNow(-40), notAfter: daysFromNow(50) })
const material = await mint({ names })
const all = ['a', 'b', 'c', 'd', 'e'].map((one) => `${one}.example.com`)
const stuck = ['c.example.com', 'd.example.com']

const done = ({ state }: BindingWorld): string[] =>
  deploymentsIn(state)
    .flatMap(({ record }) => Object.values(record.targets).flatMap(({ steps }) => Object.entries(steps)))
    .flatMap(([id, { status }]) => (status === 'done' ? [id] : []))
    .sort()

const setFor = (world: BindingWorld, from = 0): string[] =>
  world
    .asked(cdn.set, from)
    .map((request) => formOf(request)['DomainName'] ?? '')
    .sort()

for (const signal of ['SIGKILL', 'SIGTERM', 'SIGINT'] as const) {
  for (const via of ['upload', 'via-cas'] as const) {
    t.test(`${signal} while two of five hang, ${via}`, async (t) => {
      const world = await openBinding(t)
      for (const one of all) world.emulator.addCdnDomain(one, { certificate: pair(older) })
      const hanging = world.emulator.fail({ action: cdn.set, key: /^[cd]\./ }, { hang: true })
      let child: ChildProcess | undefined
      const words = ['deploy', '--fullchain', '-', '--json', ...world.connect, '--cdn-domain', 'auto', ...world.toEdges]
      const running = world.run(via === 'upload' ? words : [...words, '--via-cas'], {
        input: material.fullchain + material.key,
        onStart: (started) => {
          child = started
        },
      })
      const finished = ['find', ...all.filter((one) => !stuck.includes(one)).map((one) => `bind ${one}`)]
      await until('three of five', () => hanging.hits === 2 && finished.every((id) => done(world).includes(id)))
      child?.kill(signal)
      const run = await running
      if (signal === 'SIGKILL') t.equal(run.signal, 'SIGKILL')
      else t.equal(run.code, 3, 'it says what was done, and what was not')
      hanging.remove()

      const from = world.emulator.requests.length
      const synced = await world.syncNow(t)
      t.same(setFor(world, from), stuck, 'the rest, and nothing twice')
      t.same(
        stepsOf(synced.results[0] ?? { stages: [] }),
        stuck.map((one) => `bind ${one} changed`),
      )
      for (const one of all) t.equal(world.emulator.cdn.domain(one)?.certificate?.sha256, sha256Of(material), one)
      t.equal(deploymentsIn(world.state)[0]?.privateKey, undefined, 'the record lets go of the key')
    })
  }
}

t.test('killed while it looks for domains', async (t) => {
  const world = await openBinding(t)
  for (const one of all) world.emulator.addCdnDomain(one, { certificate: pair(older) })
  const hanging = world.emulator.fail({ action: cdn.list }, { hang: true })
  let child: ChildProcess | undefined
  const running = world.run(
    ['deploy', '--fullchain', '-', '--cdn-domain', 'auto', ...world.connect, ...world.toEdges],
    {
      input: material.fullchain + material.key,
      onStart: (started) => {
        child = started
      },
    },
  )
  await until('the list', () => hanging.hits > 0)
  child?.kill('SIGKILL')
  await running
  hanging.remove()
  const status = await world.run(['status', '--json'])
  t.match(lineOf<SyncShape>(status).results, { 0: { pending: { 0: { target: 'cdn auto', step: 'find' } } } })
  const synced = await world.syncNow(t)
  t.same(stepsOf(synced.results[0] ?? { stages: [] }), [...all.map((one) => `bind ${one} changed`), 'find unchanged'])
})

t.test('what was found is on record, and that it was looked for is not', async (t) => {
  const world = await openBinding(t)
  for (const one of all) world.emulator.addCdnDomain(one, { certificate: pair(older) })
  const fault = world.emulator.fail({ action: cdn.set }, { status: 403, code: 'DomainInSafeMode' })
  const words = ['--cdn-domain', 'auto', ...world.toEdges]
  await world.give(t, material, words, { code: 1 })
  fault.remove()
  // As a process leaves it that is killed between the two.
  const [name = ''] = readdirSync(join(world.state, 'deployments'))
  const [id = ''] = readdirSync(join(world.state, 'deployments', name))
  const path = join(world.state, 'deployments', name, id, 'record.json')
  const record = JSON.parse(readFileSync(path, 'utf8')) as {
    targets: Record<string, { steps: Record<string, unknown> }>
  }
  for (const { steps } of Object.values(record.targets)) {
    for (const step of Object.keys(steps)) steps[step] = { status: 'pending' }
  }
  writeFileSync(path, JSON.stringify(record))

  const from = world.emulator.requests.length
  const synced = await world.syncNow(t)
  t.same(stepsOf(synced.results[0] ?? { stages: [] }), [...all.map((one) => `bind ${one} changed`), 'find unchanged'])
  t.same(setFor(world, from), all, 'none twice')
  t.same(synced.results[0]?.pending, [])
})

t.test('a newer certificate comes while an older one is still wanted in one place', async (t) => {
  const world = await openBinding(t)
  for (const one of all) world.emulator.addCdnDomain(one, { certificate: pair(older) })
  const fault = world.emulator.fail(
    { action: cdn.set, key: 'd.example.com' },
    { status: 403, code: 'DomainInSafeMode' },
  )
  await world.give(t, material, ['--cdn-domain', 'auto', ...world.toEdges], { code: 3 })
  const newer = await mint({ names, notBefore: daysFromNow(0), notAfter: daysFromNow(95) })
  await world.give(t, newer, ['--cdn-domain', 'auto', ...world.toEdges], { code: 3 })
  fault.remove()
  const from = world.emulator.requests.length
  const synced = await world.syncNow(t)
  t.same(setFor(world, from), ['d.example.com'])
  t.same(
    synced.results.flatMap(({ pending }) => pending),
    [],
  )
  for (const one of all) t.equal(world.emulator.cdn.domain(one)?.certificate?.sha256, sha256Of(newer), one)
})

await proveNoKeyLeaks(t)
