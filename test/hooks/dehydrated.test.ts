// The real dehydrated against Pebble, with our script as its HOOK and the emulator behind it.
import { mkdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { deploymentsIn, openWorld, proveSilence, type World } from '../deploy-world.js'
import { hasPebble, type Pebble, startPebble } from '../pebble.js'
import {
  archives,
  clientEnvironment,
  cloudDown,
  type Ended,
  hasCommand,
  installCommand,
  installScript,
  quoted,
  recorded,
  runProgram,
  servesFiles,
  sync,
} from './hook-world.js'

interface Dehydrated {
  readonly world: World
  readonly pebble: Pebble
  file(name: string, file: string): string
  /** Every line is a certificate, as in domains.txt. */
  run(lines: readonly string[], words?: readonly string[]): Promise<Ended>
}

const options = { skip: !hasPebble() || !hasCommand('dehydrated') ? 'pebble or dehydrated is not installed' : false }

await t.test('dehydrated', options, async (t) => {
  // Most of its time dehydrated sleeps. Each test has a CA of its own, whose orders are counted.
  t.jobs = 3

  const openDehydrated = async (test: typeof t, more = ''): Promise<Dehydrated> => {
    // How a name is proven is not what this is about.
    const pebble = await startPebble({ vaAlwaysValid: true })
    test.teardown(() => pebble.close())
    const world = await openWorld(test)
    const folder = world.path('a dehydrated')
    const wellKnown = `${folder}/challenges`
    mkdirSync(wellKnown, { recursive: true })
    const hook = installScript('dehydrated/acme-oss.sh', world.path('hooks', 'acme-oss.sh'), installCommand(world))
    const config = world.file(
      'config',
      `CA=${quoted(pebble.directoryUrl)}
BASEDIR=${quoted(folder)}
WELLKNOWN=${quoted(wellKnown)}
KEYSIZE=2048
DOMAINS_TXT=${quoted(world.path('domains.txt'))}
HOOK=${quoted(hook)}
${more}
`,
    )
    const dehydrated = (words: readonly string[]): Promise<Ended> =>
      runProgram('dehydrated', ['--config', config, ...words], clientEnvironment(world, pebble))
    const registered = await dehydrated(['--register', '--accept-terms'])
    test.equal(registered.code, 0, registered.stderr)
    return {
      world,
      pebble,
      file: (name, file) => `${folder}/certs/${name}/${file}`,
      run: (lines, words = []) => {
        world.file('domains.txt', `${lines.join('\n')}\n`)
        return dehydrated(['--cron', ...words])
      },
    }
  }

  const isServed = (test: typeof t, { world, file }: Dehydrated, name: string): void =>
    servesFiles(test, world, file(name, 'fullchain.pem'), file(name, 'privkey.pem'))

  void t.test('issued, left alone, renewed', async (t) => {
    const dehydrated = await openDehydrated(t)
    const lines = ['example.com www.example.com']
    const issued = await dehydrated.run(lines)
    t.equal(issued.code, 0, issued.stderr)
    isServed(t, dehydrated, 'example.com')
    t.same(recorded(dehydrated.world), [{ name: 'example.com', keeps: false }])

    const requests = dehydrated.world.emulator.requests.length
    t.equal((await dehydrated.run(lines)).code, 0)
    t.equal(dehydrated.world.emulator.requests.length, requests, 'unchanged_cert is none of our business')

    const renewed = await dehydrated.run(lines, ['--force'])
    t.equal(renewed.code, 0, renewed.stderr)
    isServed(t, dehydrated, 'example.com')
    t.equal(archives(dehydrated.world).length, 2)
  })

  void t.test('several certificates, a wildcard with an alias, and HOOK_CHAIN', async (t) => {
    // A wildcard can be proven by dns-01 alone, for which the hook is called as well, and does nothing.
    const dehydrated = await openDehydrated(t, 'HOOK_CHAIN=yes\nCHALLENGETYPE=dns-01')
    const issued = await dehydrated.run(['a.example.com', '*.example.com example.com > wild', 'b.example.com'])
    t.equal(issued.code, 0, issued.stderr)
    const found = deploymentsIn(dehydrated.world.state)
    const names = ['a.example.com', 'b.example.com', 'wild']
    t.same(
      recorded(dehydrated.world),
      names.map((name) => ({ name, keeps: false })),
    )
    for (const name of ['a.example.com', 'wild', 'b.example.com']) {
      const text = readFileSync(dehydrated.file(name, 'fullchain.pem'), 'utf8')
      const bare = (pem: string): string => pem.replace(/\s/g, '')
      t.ok(
        found.some(({ fullchain }) => bare(fullchain) === bare(text)),
        name,
      )
    }
  })

  void t.test(
    'the cloud down: dehydrated fails and, with --keep-going, goes on; sync deploys all of them',
    async (t) => {
      const dehydrated = await openDehydrated(t)
      const { world, pebble } = dehydrated
      const outage = cloudDown(world)
      const ended = await dehydrated.run(['a.example.com', 'b.example.com'], ['--keep-going'])
      t.not(ended.code, 0, 'dehydrated says so')
      t.same(
        recorded(world),
        ['a.example.com', 'b.example.com'].map((name) => ({ name, keeps: true })),
      )
      const issued = pebble.issued()
      outage.up()
      const later = await sync(world, ['--now'])
      t.equal(later.code, 0, later.stderr)
      t.equal(archives(world).length, 2)
      t.same(
        recorded(world).map(({ keeps }) => keeps),
        [false, false],
      )
      t.equal(pebble.issued(), issued, 'nothing was ordered for it')
    },
  )
})

await proveSilence(t)
