import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { normalize } from '../../src/certificate/normalize.js'
import { CertError } from '../../src/errors.js'
import { Secret } from '../../src/secret.js'
import { nextTry } from '../../src/state/deployment-record.js'
import { Deployment } from '../../src/state/deployments.js'
import type { WantedTarget } from '../../src/state/new-record.js'
import { newestOn } from '../../src/state/newest-on.js'
import { StateFolder } from '../../src/state/state-folder.js'
import { daysFromNow, deploymentsIn, mintMaterial, stepsIn } from '../deploy-world.js'

const { fullchain, key } = await mintMaterial()
const { bundle } = normalize({ certificates: fullchain, privateKey: new Secret(key) }, new Date())
const id = bundle.fingerprint.sha256.slice(0, 12)

const target = (name: string, steps: readonly string[] = ['archive', 'latest']): WantedTarget => ({
  identity: `test ${name}`,
  kind: 'test',
  name,
  settings: { place: name, 'allow-older': true },
  steps,
})

const start = new Date('2030-01-01T00:00:00.000Z')

const open = async (t: Test) => {
  const root = mkdtempSync(join(tmpdir(), 'acme-oss-deployments-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  const clock = { now: start }
  const state = await StateFolder.open(root)
  const record = (...targets: readonly WantedTarget[]): Promise<Deployment> =>
    Deployment.record(state, bundle, targets, () => clock.now)
  const read = (): Record<string, unknown> =>
    JSON.parse(readFileSync(state.path('deployments', 'example.com', id, 'record.json'), 'utf8')) as Record<
      string,
      unknown
    >
  return { root, state, clock, record, read }
}

const busy = new CertError('CLOUD_UNAVAILABLE', 'busy', {
  passing: true,
  hint: 'wait',
  vendor: { code: 'ServiceUnavailable', requestId: 'ABC' },
  cause: new Error('with something that must not be written down'),
})
const refused = new CertError('CLOUD_REFUSED', 'refused')

t.test('when a step is due again', (t) => {
  const minutes = (tries: number, passing = true): number =>
    (nextTry(tries, passing, start).getTime() - start.getTime()) / 60_000
  t.same(
    [1, 2, 3, 4, 8, 9, 10, 1000].map((tries) => minutes(tries)),
    [1, 2, 4, 8, 128, 256, 360, 360],
    'after a minute, doubling, at most six hours apart',
  )
  t.same(
    [1, 2, 50].map((tries) => minutes(tries, false)),
    [1440, 1440, 1440],
    'once a day where it cannot pass by itself',
  )
  t.end()
})

t.test('what is wanted is recorded, and everything is pending', async (t) => {
  const { root, read, record } = await open(t)
  const deployment = await record(target('one'), target('two', ['only']))
  t.same(read(), {
    schema: 1,
    name: 'example.com',
    names: bundle.names,
    notBefore: bundle.notBefore.toISOString(),
    notAfter: bundle.notAfter.toISOString(),
    serial: bundle.serial,
    fingerprint: bundle.fingerprint,
    archive: deploymentsIn(root)[0]?.record.archive,
    recordedAt: start.toISOString(),
    unresolved: null,
    targets: {
      'test one': {
        kind: 'test',
        name: 'one',
        settings: { place: 'one', 'allow-older': true },
        steps: { archive: { status: 'pending' }, latest: { status: 'pending' } },
      },
      'test two': {
        kind: 'test',
        name: 'two',
        settings: { place: 'two', 'allow-older': true },
        steps: { only: { status: 'pending' } },
      },
    },
  })
  t.same(deployment.pending, [
    { target: 'one', identity: 'test one', step: 'archive', next: undefined, error: undefined },
    { target: 'one', identity: 'test one', step: 'latest', next: undefined, error: undefined },
    { target: 'two', identity: 'test two', step: 'only', next: undefined, error: undefined },
  ])
  const [recorded] = deploymentsIn(root)
  t.equal(recorded?.fullchain, fullchain)
  t.equal(recorded?.privateKey, key)
})

t.test('steps are crossed off, and the key is let go of when all are', async (t) => {
  const { root, clock, record, read } = await open(t)
  const deployment = await record(target('one'))
  deployment.done('test one', 'archive', 'a note')
  clock.now = new Date(start.getTime() + 1000)
  await deployment.settle()
  t.equal(stepsIn(root), 'archive done, latest pending')
  t.equal(deploymentsIn(root)[0]?.privateKey, key)
  t.match(read(), { targets: { 'test one': { steps: { archive: { at: start.toISOString(), note: 'a note' } } } } })

  deployment.done('test one', 'latest', undefined)
  await deployment.settle()
  t.equal(stepsIn(root), 'archive done, latest done')
  t.same(deployment.pending, [])
  t.same(readdirSync(join(root, 'deployments', 'example.com', id)).sort(), ['fullchain.pem', 'record.json'])
  await deployment.settle()
})

t.test('failures are kept with what the vendor said, and counted', async (t) => {
  const { root, clock, record, read } = await open(t)
  const deployment = await record(target('one'))
  deployment.failed('test one', 'archive', busy)
  deployment.failed('test one', 'archive', busy)
  clock.now = new Date(start.getTime() + 60_000)
  deployment.failed('test one', 'archive', busy)
  deployment.failed('test one', 'latest', refused)
  await deployment.settle()
  t.match(read(), {
    targets: {
      'test one': {
        steps: {
          archive: {
            status: 'failed',
            tries: 3,
            at: '2030-01-01T00:01:00.000Z',
            next: '2030-01-01T00:05:00.000Z',
            error: {
              code: 'CLOUD_UNAVAILABLE',
              message: 'busy',
              hint: 'wait',
              vendor: { code: 'ServiceUnavailable', requestId: 'ABC' },
            },
          },
          latest: { status: 'failed', tries: 1, next: '2030-01-02T00:01:00.000Z', error: { code: 'CLOUD_REFUSED' } },
        },
      },
    },
  })
  t.notMatch(JSON.stringify(read()), /must not be written down/)
  t.match(deployment.pending, [
    { step: 'archive', next: '2030-01-01T00:05:00.000Z', error: { code: 'CLOUD_UNAVAILABLE' } },
    { step: 'latest', error: { code: 'CLOUD_REFUSED' } },
  ])
  t.equal(deploymentsIn(root)[0]?.privateKey, key, 'the key stays')

  deployment.done('test one', 'archive', undefined)
  deployment.done('test one', 'latest', undefined)
  await deployment.settle()
  t.equal(stepsIn(root), 'archive done, latest done')
  t.equal(deploymentsIn(root)[0]?.privateKey, undefined)
})

t.test('the same certificate on other targets is added to its record', async (t) => {
  const { root, record } = await open(t)
  const first = await record(target('one'))
  first.done('test one', 'archive', undefined)
  first.failed('test one', 'latest', busy)
  await first.settle()

  const second = await record(target('two'))
  t.equal(stepsIn(root), 'archive done, latest failed, archive pending, latest pending')
  for (const step of ['archive', 'latest']) second.done('test two', step, undefined)
  await second.settle()
  t.same(
    second.pending.map(({ target, step }) => `${target} ${step}`),
    ['one latest'],
  )
  t.equal(deploymentsIn(root)[0]?.privateKey, key, 'still needed for the first')

  const again = await record(target('one'))
  t.equal(stepsIn(root), 'archive pending, latest pending, archive done, latest done', 'its steps begin anew')
  for (const step of ['archive', 'latest']) again.done('test one', step, undefined)
  await again.settle()
  t.equal(deploymentsIn(root)[0]?.privateKey, undefined)

  await record(target('three'))
  t.equal(deploymentsIn(root)[0]?.privateKey, key, 'and comes back when it is needed again')
})

t.test('what is not found again is let go of', async (t) => {
  const { root, record } = await open(t)
  const steps = () => Object.keys(deploymentsIn(root)[0]?.record.targets['test one']?.steps ?? {})
  const one = target('one', ['find'])
  const first = await record(one, target('two', ['find']))
  first.found('test two', ['bind a'])
  first.found('test one', ['bind a', 'served a', 'bind b', 'served b', 'bind c'])
  first.done('test one', 'find', 'found 3')
  for (const place of ['a', 'b']) first.done('test one', `bind ${place}`, undefined, `proof of ${place}`)
  first.done('test one', 'served a', undefined)
  first.failed('test one', 'served b', busy)
  await first.settle()
  t.same(steps(), ['find', 'bind a', 'served a', 'bind b', 'served b', 'bind c'])

  const again = await record(one)
  again.found('test one', ['bind a'])
  await again.settle()
  t.same(steps(), ['find', 'bind a'])
  t.equal(again.proofOf('test one', 'bind a'), 'proof of a', 'what is found again is proven still')
  t.same(
    again.pending.map(({ identity, step }) => `${identity} ${step}`),
    ['test one find', 'test one bind a', 'test two find', 'test two bind a'],
    'of another target nothing is taken',
  )
  again.found('test one', [])
  again.done('test one', 'find', 'no domain is covered')
  for (const step of ['find', 'bind a']) again.done('test two', step, undefined)
  await again.settle()
  t.same(steps(), ['find'], 'nothing is found any more')
  t.equal(deploymentsIn(root)[0]?.privateKey, undefined)
})

t.test('the newest that is known of a place, whether it was named or found there', async (t) => {
  const { state, clock } = await open(t)
  const minted = await mintMaterial({ notBefore: daysFromNow(-40), notAfter: daysFromNow(30) })
  const { bundle: older } = normalize(
    { certificates: minted.fullchain, privateKey: new Secret(minted.key), name: bundle.name },
    new Date(),
  )
  const place = (name: string, steps: readonly string[]): WantedTarget => ({
    identity: `cdn ${name} at https://x`,
    kind: 'cdn',
    name: `cdn ${name}`,
    settings: {},
    steps,
  })
  const deployment = await Deployment.record(
    state,
    bundle,
    [place('auto', ['find']), place('c.example.com', ['bind'])],
    () => clock.now,
  )
  deployment.found('cdn auto at https://x', ['bind a.example.com', 'served a.example.com'])
  await deployment.settle()
  const newest = await newestOn(state, older)
  const known = { notBefore: bundle.notBefore, notAfter: bundle.notAfter }
  t.same(newest('cdn auto at https://x'), known)
  t.same(newest('cdn a.example.com at https://x'), known, 'found there')
  t.same(newest('cdn a.example.com at https://x', 'a.example.com'), known)
  t.same(newest('cdn c.example.com at https://x', 'c.example.com'), known, 'named')
  t.equal(newest('cdn b.example.com at https://x', 'b.example.com'), undefined)
  t.equal(newest('cdn a.example.com at https://y', 'a.example.com'), undefined)
  t.equal(newest('dcdn auto at https://x', 'a.example.com'), undefined)
  t.equal((await newestOn(state, bundle))('cdn auto at https://x'), undefined, 'beside itself')

  deployment.forget(({ name }) => name === 'cdn auto', false)
  await deployment.settle()
  const left = await newestOn(state, older)
  t.equal(left('cdn auto at https://x', 'a.example.com'), undefined)
  t.same(left('cdn auto at https://x', 'c.example.com'), known, 'found by the one, named for the other')
})

t.test('many changes at once end in the last', async (t) => {
  const { root, record } = await open(t)
  const steps = Array.from({ length: 30 }, (_, i) => `step${i}`)
  const deployment = await record(target('one', steps))
  for (const step of steps) deployment.failed('test one', step, busy)
  for (const step of steps) deployment.done('test one', step, undefined)
  await deployment.settle()
  t.equal(stepsIn(root), steps.map((step) => `${step} done`).join(', '))
  deployment.done('test unknown', 'x', undefined)
  await deployment.settle()
  t.same(deployment.pending, [], 'what is not in the record is passed over')
})

t.test('a folder that went away meanwhile is told when it settles, not before', async (t) => {
  const { root, state, record } = await open(t)
  const deployment = await record(target('one'))
  rmSync(join(root, 'deployments'), { recursive: true })
  writeFileSync(join(root, 'deployments'), '')
  deployment.done('test one', 'archive', undefined)
  t.equal(deployment.pending.length, 1, 'what is done is known all the same')
  await t.rejects(deployment.settle(), { code: 'STATE_UNUSABLE' })
  t.equal(state.root, root)
})
