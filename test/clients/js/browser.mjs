// Runs the scenarios inside a headless Chromium: in a page of an allowed origin, then in one of another.
import { chromium } from 'playwright-core'
import { settings, event, disconnect, report } from './admin.mjs'

const browser = await chromium.launchPersistentContext(settings.profile, {
  executablePath: settings.executable,
  headless: true,
  timeout: 120_000, // the first start of a browser takes its time
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage', '--no-proxy-server']
})
try {
  console.error('browser: ' + browser.browser()?.version())
  for (const origin of [settings.site, settings.foreign]) {
    const page = await browser.newPage()
    page.setDefaultTimeout(120_000)
    page.on('pageerror', (e) => console.error('page: ' + e.message))
    await page.exposeFunction('event_', event)
    await page.exposeFunction('disconnect_', disconnect)
    await page.exposeFunction('reported_', report)
    await page.goto(origin + '/page.html')
    await page.waitForFunction('window.loaded_')
    const { url, user, token } = settings
    await page.evaluate(([env, isForeign]) => window.runScenarios(env, isForeign), [{ url, user, token, deflate: true }, origin === settings.foreign])
    await page.close()
  }
} finally {
  await browser.close()
}
