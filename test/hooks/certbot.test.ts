// The real certbot against Pebble, with our script where install.sh puts it and the emulator behind it.
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
  settings,
  sync,
} from './hook-world.js'

interface Certbot {
  readonly world: World
  readonly pebble: Pebble
  /** The script in renewal-hooks/deploy/. */
  readonly directoryHook: string
  /** What a person would write behind --deploy-hook. */
  readonly line: string
  live(lineage: string, file: string): string
  run(words: readonly string[], environment?: Readonly<Record<string, string>>): Promise<Ended>
  certonly(name: string, domains: readonly string[], words?: readonly string[]): Promise<Ended>
}

const options = { skip: !hasPebble() || !hasCommand('certbot') ? 'pebble or certbot is not installed' : false }

await t.test('certbot', options, async (t) => {
  // Each test has a CA of its own, whose port to answer at and whose orders are its alone.
  t.jobs = 2

  const openCertbot = async (test: typeof t): Promise<Certbot> => {
    const pebble = await startPebble()
    test.teardown(() => pebble.close())
    const world = await openWorld(test)
    const config = world.path('letsencrypt')
    const folder = `${config}/renewal-hooks/deploy`
    mkdirSync(folder, { recursive: true })
    const directoryHook = installScript('certbot/acme-oss', `${folder}/acme-oss`, installCommand(world))
    const common = [
      ...['--config-dir', config, '--work-dir', world.path('work'), '--logs-dir', world.path('logs')],
      ...['--server', pebble.directoryUrl, '--non-interactive', '--agree-tos', '--email', 'a@example.com'],
      ...['--standalone', '--http-01-port', String(pebble.httpPort), '--no-random-sleep-on-renew'],
    ]
    const run: Certbot['run'] = async ([verb = '', ...words], environment = {}) =>
      runProgram('certbot', [verb, ...common, ...words], { ...clientEnvironment(world, pebble), ...environment })
    return {
      world,
      pebble,
      directoryHook,
      // certbot looks for the first word as it stands, quotes and all.
      line: `${world.path('bin', 'acme-oss')} hook certbot`,
      live: (lineage, file) => `${config}/live/${lineage}/${file}`,
      run,
      certonly: (name, domains, words = []) =>
        run(['certonly', '--cert-name', name, ...domains.flatMap((one) => ['-d', one]), ...words]),
    }
  }

  const isServed = (test: typeof t, { world, live }: Certbot, lineage: string): void =>
    servesFiles(test, world, live(lineage, 'fullchain.pem'), live(lineage, 'privkey.pem'))

  void t.test('issued with --deploy-hook, renewed by renew with the same line', async (t) => {
    const certbot = await openCertbot(t)
    // The line is not our script: what it needs comes from the environment, as in a shell or a unit.
    const environment = settings(certbot.world)
    const words = ['certonly', '-d', 'example.com', '-d', 'www.example.com', '--deploy-hook', certbot.line]
    const issued = await certbot.run(words, environment)
    t.equal(issued.code, 0, issued.stderr)
    isServed(t, certbot, 'example.com')
    t.same(recorded(certbot.world), [{ name: 'example.com', keeps: false }])
    const [first] = archives(certbot.world)

    const renewed = await certbot.run(['renew', '--force-renewal', '--no-directory-hooks'], environment)
    t.equal(renewed.code, 0, renewed.stderr)
    isServed(t, certbot, 'example.com')
    t.equal(archives(certbot.world).length, 2)
    t.ok(archives(certbot.world).includes(first as string), 'the first archive is still there')
    t.same(
      recorded(certbot.world).map(({ keeps }) => keeps),
      [false, false],
    )
  })

  void t.test('renew calls the script in renewal-hooks/deploy/, without any PATH of ours', async (t) => {
    const certbot = await openCertbot(t)
    t.equal((await certbot.certonly('example.com', ['example.com'])).code, 0)
    t.equal(certbot.world.objects.size, 0, 'the first issue calls no directory hook')
    const renewed = await certbot.run(['renew', '--force-renewal'])
    t.equal(renewed.code, 0, renewed.stderr)
    isServed(t, certbot, 'example.com')
    const requests = certbot.world.emulator.requests.length
    const idle = await certbot.run(['renew'])
    t.equal(idle.code, 0)
    t.equal(certbot.world.emulator.requests.length, requests, 'not due: not called')
  })

  void t.test('several lineages, one of them -0001, each under its own name', async (t) => {
    const certbot = await openCertbot(t)
    const lineages = { 'example.com': 'example.com', 'a.example.com': 'a.example.com' }
    for (const [name, domain] of Object.entries(lineages)) {
      const issued = await certbot.certonly(name, [domain])
      t.equal(issued.code, 0, issued.stderr)
    }
    // A second certificate whose names begin alike is what certbot calls by a number.
    const other = await certbot.run(['certonly', '--duplicate', '-d', 'example.com'])
    t.equal(other.code, 0, other.stderr)
    const renewed = await certbot.run(['renew', '--force-renewal'])
    t.equal(renewed.code, 0, renewed.stderr)
    t.same(
      recorded(certbot.world),
      ['a.example.com', 'example.com', 'example.com-0001'].map((name) => ({ name, keeps: false })),
    )
    for (const { record, fullchain } of deploymentsIn(certbot.world.state)) {
      t.equal(fullchain, readFileSync(certbot.live(record.name, 'fullchain.pem'), 'utf8'), record.name)
      t.ok(archives(certbot.world).includes(record.archive), `${record.name} has its archive`)
    }
  })

  void t.test('a lineage that exists is deployed by calling the script as install.sh says', async (t) => {
    const certbot = await openCertbot(t)
    t.equal((await certbot.certonly('with blank', ['example.com'])).code, 0)
    const line = `RENEWED_LINEAGE=${quoted(certbot.live('with blank', '').slice(0, -1))} ${quoted(certbot.directoryHook)}`
    // Twice: what is there already is no reason to fail.
    for (const _ of [1, 2]) {
      const ended = await runProgram('/bin/sh', ['-c', line], { PATH: '/usr/bin:/bin' })
      t.equal(ended.code, 0, ended.stderr)
    }
    isServed(t, certbot, 'with blank')
    t.equal(archives(certbot.world).length, 1)
  })

  void t.test('the cloud down: certbot ends well all the same, and sync deploys it without a new order', async (t) => {
    const certbot = await openCertbot(t)
    const { world, pebble } = certbot
    t.equal((await certbot.certonly('example.com', ['example.com'])).code, 0)
    const outage = cloudDown(world)
    const renewed = await certbot.run(['renew', '--force-renewal'])
    t.equal(renewed.code, 0, 'that is certbot, and why there is a record')
    t.match(renewed.stdout + renewed.stderr, 'acme-oss')
    t.same(recorded(world), [{ name: 'example.com', keeps: true }])
    t.equal((await world.run(['status'], { environment: settings(world) })).code, 1)

    const issued = pebble.issued()
    outage.up()
    const later = await sync(world, ['--now'])
    t.equal(later.code, 0, later.stderr)
    isServed(t, certbot, 'example.com')
    t.same(recorded(world), [{ name: 'example.com', keeps: false }])
    t.equal((await world.run(['status'], { environment: settings(world) })).code, 0)
    t.equal(pebble.issued(), issued, 'nothing was ordered for it')
  })
})

await proveSilence(t)
