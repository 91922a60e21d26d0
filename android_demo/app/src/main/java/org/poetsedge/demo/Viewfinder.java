package org.poetsedge.demo;

import android.content.Context;
import android.graphics.Canvas;
import android.graphics.Color;
import android.graphics.Paint;
import android.util.AttributeSet;
import android.view.View;

/** Marks the square of the preview that is labeled, by dimming what lies outside it. */
public final class Viewfinder extends View {
    private final Paint shade = new Paint();
    private final Paint edge = new Paint(Paint.ANTI_ALIAS_FLAG);
    private int square;

    public Viewfinder(Context context, AttributeSet attributes) {
        super(context, attributes);
        shade.setColor(Color.argb(96, 0, 0, 0));
        edge.setColor(Color.WHITE);
        edge.setStyle(Paint.Style.STROKE);
        edge.setStrokeWidth(2 * getResources().getDisplayMetrics().density);
    }

    /** @param side length of the side in pixels; 0 shows nothing */
    void setSquare(int side) {
        square = side;
        invalidate();
    }

    @Override
    protected void onDraw(Canvas canvas) {
        if (square == 0) {
            return;
        }
        float left = (getWidth() - square) / 2f;
        float top = (getHeight() - square) / 2f;
        canvas.save();
        canvas.clipOutRect(left, top, left + square, top + square);
        canvas.drawRect(0, 0, getWidth(), getHeight(), shade);
        canvas.restore();
        float inset = edge.getStrokeWidth() / 2;
        canvas.drawRect(left + inset, top + inset, left + square - inset, top + square - inset, edge);
    }
}
