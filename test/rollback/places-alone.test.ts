// A rollback that knows the places and nothing else, one that knows them from the records alone, and one that is overtaken.
import type { ChildProcess } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { normalize } from '../../src/certificate/normalize.js'
import { Secret } from '../../src/secret.js'
import { Deployment } from '../../src/state/deployments.js'
import { withLock } from '../../src/state/lock.js'
import { StateFolder } from '../../src/state/state-folder.js'
import { daysFromNow, mintMaterial, openWorld, proveSilence, resultOf } from '../deploy-world.js'
import { ends } from '../sync/hook-call.js'

const [old, now] = await Promise.all([
  mintMaterial({ notBefore: daysFromNow(-30), notAfter: daysFromNow(60) }),
  mintMaterial({ notBefore: daysFromNow(-10), notAfter: daysFromNow(80) }),
])

t.test('a folder', async (t) => {
  const world = await openWorld(t, { here: true })
  const folder = world.path('here')
  const latest = (): string => readFileSync(join(folder, 'latest', 'cert.pem'), 'utf8')
  for (const one of [old, now]) ends(t, await world.deploy(one, ['--directory', folder]), 0)

  await t.test('with a command that is not on record', async (t) => {
    const mark = world.path('mark')
    const words = ['rollback', 'example.com', '--exec', `touch ${mark}`, '--json']
    const run = await world.run(words)
    ends(t, run, 0)
    t.equal(latest(), old.leaf)
    t.ok(existsSync(mark), 'is followed by it')
    rmSync(mark)
    const again = await world.run([...words, '--to', now.archive, '--exec-timeout', '77'])
    ends(t, again, 0)
    t.same(
      resultOf({ ...again, stdout: withoutOwn(again.stdout) }).stages.map(({ target }) => target.split(' ')[0]),
      ['directory', 'exec'],
      'once, although it is on record as well',
    )
    t.ok(existsSync(mark))
  })

  await t.test('while a certificate comes that was not known when the archive was chosen', async (t) => {
    const next = await mintMaterial({ notBefore: daysFromNow(-1), notAfter: daysFromNow(85) })
    const material = { name: 'example.com', certificates: next.fullchain, privateKey: Secret.material(next.key) }
    const { bundle } = normalize(material, new Date())
    const state = await StateFolder.open(world.state)
    const [waits, isWaiting] = promised()
    const onStart = ({ stderr }: ChildProcess) =>
      void stderr?.on('data', (piece: Buffer) => /waiting for/.test(String(piece)) && isWaiting())
    const before = latest()
    // Its own process: this one holds the lock.
    const run = await withLock(state, bundle.name, { signal: new AbortController().signal }, async () => {
      const running = world.run(['rollback', 'example.com', '--to', old.archive], { here: false, onStart })
      await Promise.race([waits, running])
      await Deployment.note(state, bundle, [], () => new Date())
      return { running }
    }).then(({ running }) => running)
    ends(t, run, 1)
    t.match(run.stderr, /a new certificate came meanwhile: .*nothing was rolled back/)
    t.equal(latest(), before)
    const words = ['--name', 'example.com', '--directory', folder, '--json']
    const come = await world.deploy(next, words)
    ends(t, come, 0)
    t.same([latest(), resultOf(come).warnings], [next.leaf, []])
    ends(t, await world.run(['rollback', 'example.com', '--to', old.archive]), 0)
  })

  const spoilt = world.path('spoilt')
  writeFileSync(spoilt, '')
  const unrecorded = ['--state-dir', spoilt, '--json']
  const config = world.path('site.yaml')
  writeFileSync(config, `certificates:\n  example.com:\n    deploy:\n      - directory: { path: ${folder} }\n`)
  const ways = {
    flags: ['--directory', folder],
    'flags and a name': ['example.com', '--directory', folder],
    'the configuration': ['--config', config],
    'the configuration and a name': ['example.com', '--config', config],
  }
  for (const [way, words] of Object.entries(ways)) {
    await t.test(`that ${way} name, without a state folder`, async (t) => {
      ends(t, await world.deploy(now, ['--directory', folder, '--state-dir', spoilt]), 0)
      t.equal(latest(), now.leaf)
      const run = await world.run(['rollback', ...words, ...unrecorded])
      ends(t, run, 0)
      t.equal(latest(), old.leaf)
      const { hold, from, warnings } = JSON.parse(run.stdout)
      t.same([hold, from], [null, now.archive])
      t.match(warnings, [/^nothing was recorded, .*spoilt/, /is not held there/])
    })
  }

  await t.test('that nothing but the records could tell', async (t) => {
    const cases = [['example.com'], [], ['www.example.com', '--config', config], ['--to', 'standby', ...ways.flags]]
    for (const words of cases) {
      const run = await world.run(['rollback', ...words, ...unrecorded])
      ends(t, run, 1)
      t.match(resultOf(run).error, { code: 'STATE_UNUSABLE' }, words.join(' '))
    }
    t.equal(latest(), old.leaf)
  })
})

const promised = (): [Promise<void>, () => void] => {
  let fulfil = (): void => undefined
  return [new Promise<void>((resolve) => (fulfil = resolve)), () => fulfil()]
}

const withoutOwn = (stdout: string): string => {
  const { from: _from, hold: _hold, ...result } = JSON.parse(stdout)
  return `${JSON.stringify(result)}\n`
}

t.test('nothing secret was said', proveSilence)
