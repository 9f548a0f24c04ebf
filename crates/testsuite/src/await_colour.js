// Runs in the player's page: looks at one pixel of the canvas as often as it can, until it has the colour (red, green, blue) that is awaited.
// Answers whether it came within ten seconds.
const done = arguments[arguments.length - 1];
const [red, green, blue] = arguments;
const stage = document.querySelector('[data-testid=stage]');
const copy = document.createElement('canvas');
copy.width = copy.height = 1;
const context = copy.getContext('2d', { willReadFrequently: true });
const started = performance.now();
const look = () => {
  context.drawImage(stage, 0, 0, 1, 1, 0, 0, 1, 1);
  const pixel = context.getImageData(0, 0, 1, 1).data;
  if (pixel[0] === red && pixel[1] === green && pixel[2] === blue) done(true);
  else if (performance.now() - started > 10000) done(false);
  else requestAnimationFrame(look);
};
look();
