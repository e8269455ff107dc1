// The real lego (version 4) against Pebble, with our command in its hooks and the emulator behind it.
import { mkdirSync } from 'node:fs'
import t from 'tap'
import { openWorld, proveSilence, type World } from '../deploy-world.js'
import { hasPebble, type Pebble, startPebble } from '../pebble.js'
import {
  archives,
  clientEnvironment,
  cloudDown,
  type Ended,
  hasCommand,
  installCommand,
  installScript,
  recorded,
  runProgram,
  servesFiles,
  settings,
  sync,
} from './hook-world.js'

interface Lego {
  readonly world: World
  readonly pebble: Pebble
  /** `run` and `renew`, with our command as their hook. */
  run(domains: readonly string[], words?: readonly string[]): Promise<Ended>
  renew(domains: readonly string[], words?: readonly string[]): Promise<Ended>
  file(name: string): string
}

const options = { skip: !hasPebble() || !hasCommand('lego') ? 'pebble or lego is not installed' : false }

await t.test('lego', options, async (t) => {
  // Most of its time lego sleeps. Each test has a CA of its own, whose orders are counted.
  t.jobs = 3

  const openLego = async (test: typeof t): Promise<Lego> => {
    // How a name is proven is not what this is about.
    const pebble = await startPebble({ vaAlwaysValid: true })
    test.teardown(() => pebble.close())
    const world = await openWorld(test)
    const { command, environmentFile } = installCommand(world)
    mkdirSync(world.path('webroot'))
    // lego splits the line at blanks and knows no quotes.
    const line = `${installScript('with-environment', world.path('with'), { environmentFile })} ${command} hook lego`
    const lego = (domains: readonly string[], words: readonly string[]): Promise<Ended> =>
      runProgram(
        'lego',
        [
          ...['--server', pebble.directoryUrl, '--path', world.path('lego')],
          ...['--email', 'a@example.com', '--accept-tos'],
          ...['--key-type', 'ec256', '--http', '--http.webroot', world.path('webroot')],
          ...domains.flatMap((domain) => ['--domains', domain]),
          ...words,
        ],
        clientEnvironment(world, pebble),
      )
    return {
      world,
      pebble,
      run: (domains, words = []) => lego(domains, ['run', ...words, '--run-hook', line]),
      renew: (domains, words = []) => lego(domains, ['renew', ...words, '--renew-hook', line]),
      file: (name) => world.path('lego', 'certificates', name),
    }
  }

  void t.test('issued and renewed', async (t) => {
    const lego = await openLego(t)
    const domains = ['example.com', 'www.example.com']
    const issued = await lego.run(domains)
    t.equal(issued.code, 0, issued.stderr)
    servesFiles(t, lego.world, lego.file('example.com.crt'), lego.file('example.com.key'))
    t.same(recorded(lego.world), [{ name: 'example.com', keeps: false }])

    const requests = lego.world.emulator.requests.length
    t.equal((await lego.renew(domains)).code, 0)
    t.equal(lego.world.emulator.requests.length, requests, 'not due: not called')

    const renewed = await lego.renew(domains, ['--days', '90000', '--no-random-sleep'])
    t.equal(renewed.code, 0, renewed.stderr)
    servesFiles(t, lego.world, lego.file('example.com.crt'), lego.file('example.com.key'))
    t.equal(archives(lego.world).length, 2)
  })

  void t.test('--no-bundle: the chain is taken from the file beside the certificate', async (t) => {
    const lego = await openLego(t)
    const issued = await lego.run(['example.com'], ['--no-bundle'])
    t.equal(issued.code, 0, issued.stderr)
    const whole = lego.world.objects.get('certs/example.com/latest/fullchain.pem')?.body.toString() ?? ''
    t.equal(whole.match(/BEGIN CERTIFICATE/g)?.length, 2)
  })

  void t.test('the cloud down: recorded, and deployed by sync without a new order', async (t) => {
    const lego = await openLego(t)
    const { world, pebble } = lego
    const outage = cloudDown(world)
    const ended = await lego.run(['example.com'])
    t.not(ended.code, 0, 'lego hands the status on')
    t.same(recorded(world), [{ name: 'example.com', keeps: true }])
    t.equal((await world.run(['status'], { environment: settings(world) })).code, 1)
    const issued = pebble.issued()
    outage.up()
    const later = await sync(world, ['--now'])
    t.equal(later.code, 0, later.stderr)
    servesFiles(t, world, lego.file('example.com.crt'), lego.file('example.com.key'))
    t.equal(pebble.issued(), issued)
  })
})

await proveSilence(t)
