// A rollback that knows the places and nothing else, and one that knows them from the records alone.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
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

const withoutOwn = (stdout: string): string => {
  const { from: _from, hold: _hold, ...result } = JSON.parse(stdout)
  return `${JSON.stringify(result)}\n`
}

t.test('nothing secret was said', proveSilence)
